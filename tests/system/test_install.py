"""make install and make uninstall, into directories of their own."""

import re
import subprocess

import pytest

from harness import HOME, binary, needs

pytestmark = [needs("make"), pytest.mark.xdist_group("make")] # one make at a time


def make(target, **variables):
    """As for the binary under test, if it is one of build/."""
    built = re.fullmatch(rf"{re.escape(str(HOME))}/build/(\w+)(-clang)?(-poll)?/knut", str(binary()))
    if built:
        variables["MODE"] = built[1]
        variables["POLL"] = "poll" if built[3] else "epoll"
        if built[2]:
            variables["CXX"] = "clang++"
    done = subprocess.run(["make", "-C", str(HOME), target, *(f"{k}={v}" for k, v in variables.items())],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(root):
    return {str(f.relative_to(root)): f.stat().st_mode & 0o777 for f in root.rglob("*") if f.is_file()}


PROGRAM = {
    "usr/sbin/knut": 0o755,
    "usr/share/man/man8/knut.8": 0o644,
    "usr/share/man/man5/knut.conf.5": 0o644,
    "usr/lib/systemd/system/knut.service": 0o644,
    "usr/share/doc/knut/README.md": 0o644,
    "usr/share/doc/knut/CHANGELOG.md": 0o644,
    "usr/share/doc/knut/LICENSE": 0o644,
    "usr/share/doc/knut/examples/websocket.conf": 0o644,
    "usr/share/doc/knut/examples/knut.conf.example": 0o644,
    "usr/share/doc/knut/examples/knut.openrc": 0o644,
    "etc/init.d/knut": 0o755,
}
CONFIGURATION = {"etc/knut/knut.conf": 0o644}


def test_install_and_uninstall(tmp_path):
    make("install", DESTDIR=tmp_path, PREFIX="/usr")
    assert files(tmp_path) == PROGRAM | CONFIGURATION
    assert (tmp_path / "etc/knut/conf.d").is_dir()
    # What the files say of each other is where things are.
    for name in ("usr/lib/systemd/system/knut.service", "etc/init.d/knut"):
        text = (tmp_path / name).read_text()
        assert "/usr/sbin/knut" in text and "/usr/local/sbin/knut" not in text, name

    make("uninstall", DESTDIR=tmp_path, PREFIX="/usr")
    assert files(tmp_path) == CONFIGURATION


def test_an_existing_configuration_is_kept(tmp_path):
    mine = tmp_path / "etc/knut/knut.conf"
    mine.parent.mkdir(parents=True)
    mine.write_text("listener 1999\n")
    said = make("install", DESTDIR=tmp_path, PREFIX="/usr")
    assert mine.read_text() == "listener 1999\n"
    assert str(mine) in said


def test_what_was_installed_runs(tmp_path):
    """Elsewhere than the defaults, without DESTDIR: the paths in the files must be right."""
    make("install", PREFIX=tmp_path / "usr", SYSCONFDIR=tmp_path / "etc")
    program = tmp_path / "usr/sbin/knut"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    version = (HOME / "VERSION").read_text().strip()
    assert (said.returncode, said.stdout) == (0, f"knut version {version}\n")
    for configuration in (tmp_path / "etc/knut/knut.conf",
                          tmp_path / "usr/share/doc/knut/examples/websocket.conf"):
        tried = subprocess.run([program, "--test-config", "-c", configuration],
                               capture_output=True, text=True, timeout=20)
        assert tried.returncode == 0, tried.stderr
    listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    if "asan" not in str(binary()):
        assert "libstdc++" not in listed # it is not needed on a small machine
