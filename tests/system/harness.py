"""What the system tests share: a broker in a directory of its own.

    def test_something(broker):
        b = broker('''
            listener {mqtt}
            protocol mqtt
            ''')
        ... b.port["mqtt"] ... b.wait_log(r"New connection from (\\S+)") ...

Names in braces become free ports, {dir} the broker's directory. At the end of
the test each broker is stopped and must have behaved: see Broker.finish.

The binary is $KNUT, or else the one built last. Nothing here sleeps and hopes:
wait for a line of the log, a packet, or a condition (`until`).
"""

import collections
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time

import pytest

HOME = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # seconds for anything that must happen; sanitizers and a loaded machine need them

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:")


def binary():
    if "KNUT" in os.environ:
        return pathlib.Path(os.environ["KNUT"])
    built = sorted(HOME.glob("build/*/knut"), key=lambda f: f.stat().st_mtime)
    if not built:
        pytest.exit("no build/*/knut: run make first", returncode=2)
    return built[-1]


def is_sanitized():
    """True if memory of the process says nothing, since a sanitizer adds to it."""
    return b"__asan_init" in binary().read_bytes()


def until(condition, what, patience=PATIENCE):
    """Waits for what has no event of its own. Returns the condition's value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)


# --- ports ---------------------------------------------------------------

_ports_given = 0


def free_port():
    """A port that nobody uses. Each worker of pytest-xdist has its own range,
    below the one that the kernel takes ports of outgoing connections from."""
    global _ports_given
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "gw0")))
    while True:
        port = 20000 + worker * 2000 + (os.getpid() * 37 + _ports_given) % 2000
        _ports_given += 1
        try:
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with socket.socket(family) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
            return port
        except OSError:
            continue


class Names(dict):
    """Values for the braces of a configuration; a new name is a new port."""

    def __missing__(self, name):
        self[name] = free_port()
        return self[name]


# --- the broker ----------------------------------------------------------


class Broker:
    def __init__(self, configuration, arguments=(), environment=None, descriptors=None, names=None):
        self._directory = tempfile.TemporaryDirectory(prefix="knut-test-")
        self.dir = pathlib.Path(self._directory.name)
        self.dir.chmod(0o777) # started as root, the broker becomes somebody else
        self.port = Names(dir=self.dir, **(names or {}))
        self.file = self.dir / "knut.conf"
        self.write(configuration)
        self.arguments = list(arguments)
        self.environment = {
            **os.environ,
            "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:max_malloc_fill_size=4096",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            **(environment or {}),
        }
        self.descriptors = descriptors  # RLIMIT_NOFILE
        self.sockets = []
        self.process = None
        self.log = []  # lines of stderr
        self._news = threading.Condition()
        self.start()

    def write(self, configuration):
        """Writes the configuration file; {names} and indentation as above."""
        text = textwrap.dedent(configuration).strip("\n") + "\n"
        self.text = text.format_map(self.port)
        self.file.write_text(self.text)

    # start and stop

    def start(self):
        self.seen = len(self.log)
        self.process = subprocess.Popen(
            [str(binary()), "-c", str(self.file), *self.arguments],
            cwd=self.dir, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=self._limit if self.descriptors else None)
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        self.wait_log(r" running$", since=self.seen)
        self.open_at_start = self.count_descriptors()

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def _read(self, pipe):
        for line in pipe:
            with self._news:
                self.log.append(line.decode(errors="backslashreplace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def stop(self, patience=PATIENCE):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the broker did not stop\n" + self.tail()) from None
        self._reader.join(PATIENCE)
        self.process.stderr.close()
        return status

    def finish(self):
        """What must hold at the end of every test."""
        for each in self.sockets:
            each.close()
        try:
            if self.process.returncode is None:
                until(lambda: self.process.poll() is not None
                      or self.count_descriptors() <= self.open_at_start,
                      f"descriptors left open: {self.list_descriptors()}")
                status = self.stop()
                assert status == 0, f"exit status {status}\n{self.tail()}"
            report = [line for line in self.log if SANITIZER.search(line)]
            assert not report, self.tail(200)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._directory.cleanup()

    # looking at it

    def wait_log(self, pattern, since=0, patience=PATIENCE):
        """Waits for a line that matches; returns the match. `since`: first line to look at."""
        regex = re.compile(pattern)
        end = time.monotonic() + patience
        with self._news:
            at = since
            while True:
                for line in self.log[at:]:
                    found = regex.search(line)
                    if found:
                        return found
                at = len(self.log)
                assert self.process.poll() is None or self._reader.is_alive(), \
                    f"no line matches {pattern!r}, and the broker is gone\n{self.tail()}"
                left = end - time.monotonic()
                assert left > 0, f"no line matches {pattern!r}\n{self.tail()}"
                self._news.wait(min(left, 0.2))

    def has_logged(self, pattern):
        with self._news:
            return any(re.search(pattern, line) for line in self.log)

    def tail(self, count=25):
        return "\n".join(["--- the broker's last lines:", *self.log[-count:]])

    def list_descriptors(self):
        folder = pathlib.Path(f"/proc/{self.process.pid}/fd")
        links = []
        for each in folder.iterdir():
            try:
                links.append(os.readlink(each))
            except OSError:
                pass  # closed meanwhile
        return links

    def count_descriptors(self):
        return len(self.list_descriptors())

    def private_kib(self):
        """Memory that is the process's own, and written to."""
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"Private_Dirty:\s+(\d+)", text).group(1))

    def cpu_ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    # talking to it

    def connect(self, name="mqtt", patience=PATIENCE):
        """A plain TCP connection to the listener of this name; closed at the end."""
        raw = socket.create_connection(("127.0.0.1", self.port[name]), timeout=patience)
        self.sockets.append(raw)
        return raw


PLAIN = """
    listener {mqtt}
    protocol mqtt

    listener {ws}
    protocol websockets
    """


# --- mosquitto_pub and mosquitto_sub ---------------------------------------


def mosquitto_pub(b, *arguments, name="mqtt", check=True, **options):
    """Runs mosquitto_pub to its end."""
    where = ["-p", str(b.port[name])] if name else []
    done = subprocess.run(["mosquitto_pub", *where, *map(str, arguments)], timeout=PATIENCE,
                          capture_output=True, text="input" not in options
                          or isinstance(options["input"], str), **options)
    if check:
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{b.tail()}"
    return done


def mosquitto_sub(b, *arguments, name="mqtt", text=True):
    """Runs mosquitto_sub to its end, with -C or -W among the arguments."""
    where = ["-p", str(b.port[name])] if name else []
    return subprocess.run(["mosquitto_sub", *where, *map(str, arguments)], timeout=PATIENCE,
                          capture_output=True, text=text)


Received = collections.namedtuple("Received", "topic qos retain payload rest")


class Subscriber:
    """mosquitto_sub, subscribed (its SUBACK is in) when the constructor returns."""

    def __init__(self, b, *arguments, name="mqtt", extra=""):
        where = ["-p", str(b.port[name])] if name else []
        self.broker = b
        # stdbuf: it would keep its debug lines to itself while writing to a pipe.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-d", *where, *map(str, arguments),
             "-F", f"\x1e%t\x1f%q\x1f%r\x1f%x\x1f{extra}\x1e"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self._early = collections.deque() # messages that came before the SUBACK
        try:
            granted = self._wait_line(r"^Subscribed \(mid: \d+\): (.*)", self._early.append).group(1)
        except BaseException:
            self.close()
            raise
        self.granted = [int(code) for code in granted.split(",")]

    def _wait_line(self, pattern, otherwise=lambda line: None):
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                found = re.search(pattern, line)
                if found:
                    return found
                otherwise(line)
        finally:
            watchdog.cancel()
        raise AssertionError(f"mosquitto_sub ended without {pattern!r}\n"
                             + "\n".join(self.lines[-20:]) + "\n" + self.broker.tail())

    MESSAGE = re.compile("\x1e(.*?)\x1f(.)\x1f(.)\x1f(.*?)\x1f(.*?)\x1e")

    def next(self):
        """The next message."""
        found = None
        while self._early and not found:
            found = self.MESSAGE.search(self._early.popleft())
        found = found or self._wait_line(self.MESSAGE)
        topic, qos, retain, payload, rest = found.groups()
        return Received(topic, int(qos), int(retain), bytes.fromhex(payload), rest)

    def payloads(self, count):
        return [self.next().payload.decode() for _ in range(count)]

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


# --- tools that may be missing ---------------------------------------------


def needs(*tools):
    """Skips a test where a tool is missing; scripts/test takes a skip for a failure."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    return pytest.mark.skipif(bool(missing), reason=f"missing: {', '.join(missing)} (scripts/setup --test)")
