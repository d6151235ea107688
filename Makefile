# knut -- an MQTT broker
#
#   make                 build build/release/knut
#   make bench           speed and memory beside other brokers
#   make check           unit tests, packet sequences, layer and size checks;
#                        TEST=PATTERN runs some of them
#   make check-system    the program against real clients (KNUT=FILE: that binary)
#   make install         into PREFIX (/usr/local); honours DESTDIR
#   make uninstall       remove what install put there, configuration stays
#   make clean           remove build/
#   make help            this text
#
# Switches:
#   MODE=release|debug|asan   debug: -O0 and asserts; asan: both, and sanitizers
#   POLL=epoll|poll      which reactor back end
#   CROSS=PREFIX-        cross-compile, e.g. CROSS=aarch64-linux-gnu-
#   V=1                  show the commands
#   WERROR=1             warnings are errors (make check and CI)
#
# CXX, CXXFLAGS, LDFLAGS, LDLIBS and DESTDIR are yours.

MODE   ?= release
POLL   ?= epoll
CROSS  ?=
V      ?= 0
WERROR ?= $(if $(filter check,$(MAKECMDGOALS)),1,0)

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/knut
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
INSTALL    ?= install

ifeq ($(origin CXX),default)
CXX := $(CROSS)g++
endif
# The product is linked with the C driver: it must not need libstdc++.
# Sanitizers bring a runtime in C++ of their own.
CC_LINK   ?= $(if $(filter asan,$(MODE)),$(CXX),$(if $(findstring clang,$(CXX)),clang,$(CROSS)gcc))
PKG_CONFIG ?= $(CROSS)pkg-config

VERSION := $(shell cat VERSION)
# Objects serve both back ends: what differs is which of them is linked.
OBJ     := build/$(CROSS)$(MODE)$(if $(findstring clang,$(CXX)),-clang)
BUILD   := $(OBJ)$(if $(filter-out epoll,$(POLL)),-$(POLL))

OPT_release := -O2 -g -DNDEBUG -D_FORTIFY_SOURCE=2
OPT_debug   := -O0 -g
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_asan    := -fsanitize=address,undefined

LANG_FL := -std=c++20 -fno-rtti -fno-threadsafe-statics -fstack-protector-strong \
           -ffunction-sections -fdata-sections
CPP_FL  := -Isrc -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DKNUT_VERSION='"$(VERSION)"'
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wformat=2 -Wundef \
           -Wno-missing-field-initializers
ifeq ($(WERROR),1)
WARN += -Werror
endif
CXXFLAGS ?= $(OPT_$(MODE))

LIBS := -lcrypto -linih -lpthread

# A switch selects a file, never a line.
SRC_ALL  := $(shell find src -name '*.cpp')
LEFT_OUT := src/net/reactor_%.cpp
SRC      := $(filter-out $(LEFT_OUT),$(SRC_ALL)) src/net/reactor_$(POLL).cpp
SRC      := $(filter-out src/tools/%,$(SRC))
SRC_LIB  := $(filter-out src/main.cpp,$(SRC))
OBJ_LIB  := $(SRC_LIB:%.cpp=$(OBJ)/%.o)
OBJ_MAIN := $(OBJ)/src/main.o
LIB      := $(BUILD)/libknut.a

UNIT_SRC := $(shell find tests/unit tests/sim -name '*.cpp' 2>/dev/null)
UNIT_OBJ := $(UNIT_SRC:%.cpp=$(OBJ)/%.o)
SIM_OBJ  := $(filter $(OBJ)/tests/sim/%,$(UNIT_OBJ))
SEQ_SRC  := $(shell find tests/seq -name '*.cpp' 2>/dev/null)
SEQ_OBJ  := $(SEQ_SRC:%.cpp=$(OBJ)/%.o)

ifeq ($(V),0)
Q := @
say = @printf '  %-5s %s\n' $(1) $(2)
endif

.DELETE_ON_ERROR:
.PHONY: all check layers sizes path manual unit seq check-system bench install uninstall clean help identifiers
all: $(BUILD)/knut

$(BUILD)/knut: $(OBJ_MAIN) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC_LINK) $(SAN_$(MODE)) -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

$(LIB): $(OBJ_LIB)
	$(call say,AR,$@)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(CROSS)ar crs $@ $^

$(OBJ)/src/%.o: src/%.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LANG_FL) -fno-exceptions $(CPP_FL) $(WARN) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# Tests are compiled with exceptions and RTTI, since doctest's REQUIRE throws, and
# without optimisation, which would take three times as long.
TEST_FL := $(filter-out -D%,$(patsubst -O%,-O0,$(CXXFLAGS)))
$(OBJ)/tests/%.o: tests/%.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(filter-out -fno-rtti,$(LANG_FL)) $(CPP_FL) -Itests $(WARN) $(TEST_FL) -MMD -MP -c -o $@ $<

$(BUILD)/unit: $(UNIT_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(SAN_$(MODE)) $(LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

$(BUILD)/seq: $(SEQ_OBJ) $(SIM_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(SAN_$(MODE)) $(LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

# ---- tests -----------------------------------------------------------------

check: layers sizes path identifiers manual unit seq

layers sizes path identifiers:
	$(Q)scripts/check-$@

manual: $(BUILD)/knut
	$(Q)scripts/check-manual $<

unit: $(BUILD)/unit
	$(Q)$(BUILD)/unit $(if $(TEST),-tc='$(TEST)')

seq: $(BUILD)/seq
	$(Q)$(BUILD)/seq $(if $(TEST),'$(TEST)')

# pytest and Paho come from the distribution, for its own python.
PYTEST ?= $(firstword $(wildcard /usr/bin/python3) python3) -m pytest -p no:cacheprovider

check-system: $(BUILD)/knut
	$(Q)KNUT="$${KNUT:-$(CURDIR)/$<}" PYTHONDONTWRITEBYTECODE=1 \
	$(PYTEST) -rsfE --tb=short -n 2 --dist loadgroup tests/system $(if $(TEST),-k '$(TEST)')

# Beside other brokers on this machine; takes half an hour. BENCH: arguments of
# tests/bench/run.py, such as BENCH='--quick --only fanout*'.
bench: $(BUILD)/knut
	$(Q)python3 tests/bench/run.py $(BENCH)

# ---- installation ----------------------------------------------------------

# What is installed beside the program, as FROM:TO. Paths in the files are those
# of the defaults; `place` writes the real ones.
CONFDIR  := $(SYSCONFDIR)/knut
DATA     := man/knut.8:$(MANDIR)/man8/knut.8 \
            man/knut.conf.5:$(MANDIR)/man5/knut.conf.5 \
            etc/knut.service:$(UNITDIR)/knut.service \
            etc/conf.d/websocket.conf:$(DOCDIR)/examples/websocket.conf \
            etc/knut.conf.example:$(DOCDIR)/examples/knut.conf.example \
            etc/knut.openrc:$(DOCDIR)/examples/knut.openrc \
            README.md:$(DOCDIR)/README.md \
            CHANGELOG.md:$(DOCDIR)/CHANGELOG.md \
            LICENSE:$(DOCDIR)/LICENSE
PROGRAMS := etc/knut.init:$(SYSCONFDIR)/init.d/knut

from  = $(firstword $(subst :, ,$(1)))
to    = $(DESTDIR)$(lastword $(subst :, ,$(1)))
place = sed -e 's|/usr/local/sbin/knut|$(SBINDIR)/knut|g' -e 's|/etc/knut|$(CONFDIR)|g' $(1) >$(2) && chmod $(3) $(2)

define placed
	@mkdir -p $(dir $(call to,$(1)))
	$(Q)$(call place,$(call from,$(1)),$(call to,$(1)),$(2))

endef

install: all
	$(Q)$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(CONFDIR)/conf.d
	$(Q)$(INSTALL) -m 755 $(BUILD)/knut $(DESTDIR)$(SBINDIR)/knut
	$(foreach file,$(DATA),$(call placed,$(file),644))
	$(foreach file,$(PROGRAMS),$(call placed,$(file),755))
	@if [ -e $(DESTDIR)$(CONFDIR)/knut.conf ]; then \
	    echo '  $(DESTDIR)$(CONFDIR)/knut.conf is kept as it is'; \
	else \
	    $(call place,etc/knut.conf,$(DESTDIR)$(CONFDIR)/knut.conf,644); \
	fi

# The configuration stays: it is the administrator's.
uninstall:
	rm -f $(DESTDIR)$(SBINDIR)/knut $(foreach file,$(DATA) $(PROGRAMS),$(call to,$(file)))
	@rmdir $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(DOCDIR) 2>/dev/null || :

clean:
	rm -rf build

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

-include $(OBJ_LIB:.o=.d) $(OBJ_MAIN:.o=.d) $(UNIT_OBJ:.o=.d) $(SEQ_OBJ:.o=.d)
