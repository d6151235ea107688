"""The program as its administrator meets it: arguments, exit statuses, signals,
the log, the background, the service manager. Reloads: test_reload.py."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import tempfile
import time

import pytest

from harness import PATIENCE, Subscriber, binary, free_port, until
from program import (CONNECT, STAY, SUBSCRIBE, VERSION, can_connect, conf, is_open, other_address,
                     run, say_hello, starter)

IS_ROOT = os.getuid() == 0


@pytest.fixture
def start():
    with starter() as begin:
        yield begin


@pytest.fixture
def port():
    return free_port()


# --- the command line --------------------------------------------------------


def test_help_and_version():
    brief = run("-h")
    assert brief.returncode == 0
    assert brief.stdout.startswith("Usage: knut [-c config_file] [-d] [-h] [-p port] [-v]\n")
    full = run("--help")
    assert full.returncode == 0
    assert full.stdout.startswith(brief.stdout)
    for option in ("listener", "allow_anonymous", "bridge_cafile", "log_dest", "persistence"):
        assert re.search(rf"^  {option} \(.+\)\n      \S", full.stdout, re.M), option
    version = run("--version")
    assert (version.returncode, version.stdout) == (0, f"knut version {VERSION}\n")


@pytest.mark.parametrize("arguments, message", [
    (["-p", "0"], "Error: Invalid port specified (0)."),
    (["-p", "65536"], "Error: Invalid port specified (65536)."),
    (["-p", "-1"], "Error: Invalid port specified (-1)."),
    (["-p", "x"], "Error: Invalid port specified (x)."),
    (["-p"], "Error: -p argument given, but no port specified."),
    (["--port"], "Error: -p argument given, but no port specified."),
    (["-c"], "Error: -c argument given, but no config file specified."),
    (["--config-file"], "Error: -c argument given, but no config file specified."),
    (["--tls-keylog"], "Error: --tls-keylog argument given, but no file specified."),
    (["--tls-keylog", "f"], "Error: --tls-keylog is not supported yet (TLS)."),
    (["-x"], "Error: Unknown option '-x'."),
    (["stray"], "Error: Unknown option 'stray'."),
    ([""], "Error: Unknown option ''."),
    (["-p", "1"] * 11, "Error: -p may be given 10 times at most."),
    (["-c", "/nowhere/x.conf"], "Error: Unable to open config file '/nowhere/x.conf'."),
])
def test_bad_arguments(arguments, message):
    done = run(*arguments)
    assert done.returncode == 3
    assert done.stderr.startswith(message), done.stderr


def test_name_is_what_it_was_started_as(start, tmp_path, port):
    link = tmp_path / "mosquitto"
    link.symlink_to(binary())
    broker = start("-p", port, program=link)
    assert f"mosquitto version {VERSION} starting" in broker.log
    assert f"mosquitto version {VERSION} running" in broker.log
    assert broker.stop() == 0


# --- configuration errors ----------------------------------------------------


@pytest.mark.parametrize("extra", [[], ["--test-config"], ["-d"]])
def test_mistake_stops_the_start(tmp_path, port, extra):
    file = conf(tmp_path, f"listener {port}\npid_file {tmp_path}/pid\nlistner 1\n")
    done = run("-c", file, *extra)
    assert done.returncode == 3
    assert done.stderr == ("Error: Unknown configuration variable 'listner'. "
                           f"Did you mean 'listener'?\nError found at {file}:3.\n")
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("line", [
    "persistence true", "password_file /x", "acl_file /x", "cafile /x", "connection x",
    "plugin /x", "enable_proxy_protocol 1", "sandbox true", "protocol http_api",
])
def test_what_is_not_there_yet_is_named(tmp_path, line):
    file = conf(tmp_path, f"listener 1883\n{line}\n")
    done = run("--test-config", "-c", file)
    assert done.returncode == 3
    assert f"'{line.split()[0]}" in done.stderr
    assert "not supported yet" in done.stderr


def test_test_config_starts_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = conf(tmp_path, f"listener {taken.getsockname()[1]}\npid_file {tmp_path}/pid\n"
                              f"log_dest file {tmp_path}/log\nretry_interval 5\n")
        done = run("-c", file, "--test-config")
    assert done.returncode == 0
    assert "'retry_interval' option has no effect" in done.stderr
    assert sorted(f.name for f in tmp_path.iterdir()) == ["knut.conf"]


def test_crlf_and_relative_include_dir(start, tmp_path, port):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "1.conf").write_bytes(f"listener {port}\r\n".encode())
    (tmp_path / "conf.d" / "2.conf").write_bytes(b"allow_anonymous true\r\n")
    (tmp_path / "knut.conf").write_bytes(STAY.encode() + b"include_dir conf.d\r\n")
    broker = start("-c", "knut.conf", cwd=tmp_path)
    assert "Config loaded from knut.conf.\n" in broker.log
    say_hello(port).close()
    assert broker.stop() == 0


# --- start and stop ----------------------------------------------------------


def test_lines_of_a_start(start, tmp_path, port):
    file = conf(tmp_path, STAY + f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = start("-c", file)
    broker.stop()
    texts = [line.split(": ", 1)[1] for line in broker.log.splitlines()]
    expected = [f"knut version {VERSION} starting", f"Config loaded from {file}.",
                f"Opening ipv4 listen socket on port {port}.", f"knut version {VERSION} running",
                f"knut version {VERSION} terminating"]
    assert [t for t in texts if t in expected] == expected
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}: ")
    assert all(stamp.match(line) for line in broker.log.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(start, port, number):
    broker = start("-p", port)
    client = say_hello(port)
    began = time.monotonic()
    assert broker.stop(number) == 0
    assert time.monotonic() - began < 10
    assert client.recv(1) == b""
    client.close()


def test_second_signal_ends_it_at_once(start, port):
    broker = start("-p", port)
    client = say_hello(port)  # does not close: the broker waits a second for it
    broker.process.send_signal(signal.SIGTERM)
    broker.wait_log("terminating")
    assert broker.stop() == -signal.SIGTERM
    client.close()


def test_port_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = conf(tmp_path, STAY + f"listener {port} 127.0.0.1\n")
        for extra in ([], ["-d"], ["-q"]):
            done = run("-c", file, *extra)
            assert done.returncode == 1
            assert "Error: Address already in use" in done.stderr
            assert "running" not in done.stderr


def test_unix_socket_comes_and_goes(start, tmp_path):
    path = tmp_path / "knut.sock"
    file = conf(tmp_path, STAY + f"listener 0 {path}\n")
    broker = start("-c", file)
    assert f"Opening unix listen socket on path {path}." in broker.log
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(CONNECT)
        assert s.recv(4) == bytes.fromhex("20 02 00 00")
    assert broker.stop() == 0
    assert not path.exists()


def test_descriptors_are_raised_to_the_hard_limit(start, port):
    broker = start("-p", port)
    limits = pathlib.Path(f"/proc/{broker.process.pid}/limits").read_text()
    soft, hard = re.search(r"Max open files\s+(\d+)\s+(\d+)", limits).groups()
    assert soft == hard


def test_umask(start, tmp_path, port):
    file = conf(tmp_path, STAY + f"pid_file {tmp_path}/pid\nlistener {port}\n")
    start("-c", file, env={"UMASK_SET": "0077"})
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600


# --- who it listens to -------------------------------------------------------


def test_local_only_mode(start):
    ports = free_port(), free_port()
    broker = start("-p", ports[0], "-p", ports[1])
    assert "No listener is configured: clients of this machine only can connect." in broker.log
    for port in ports:
        say_hello(port).close()
        if other_address():
            assert not can_connect(port, other_address())
    assert broker.stop() == 0


def test_port_argument_is_ignored_with_a_listener(start, tmp_path, port):
    unused = free_port()
    start("-c", conf(tmp_path, STAY + f"listener {port}\n"), "-p", unused)
    assert can_connect(port)
    assert not can_connect(unused)


def test_warning_where_nothing_says_who_may_connect(start, tmp_path, port):
    silent = start("-c", conf(tmp_path, STAY + f"listener {port}\n"))
    warnings = [line for line in silent.log.splitlines() if "Nothing says who may connect" in line]
    assert len(warnings) == 1
    assert "'allow_anonymous true'" in warnings[0] and "knut.conf" in warnings[0]
    assert silent.stop() == 0
    said = start("-c", conf(tmp_path, STAY + f"listener {port}\nallow_anonymous false\n"))
    assert "Nothing says who may connect" not in said.log


# --- the background ----------------------------------------------------------


def gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_daemon(tmp_path, port):
    pid_file = tmp_path / "pid"
    file = conf(tmp_path, STAY + f"listener {port}\npid_file {pid_file}\n"
                                 f"log_dest file {tmp_path}/log\n")
    done = run("-c", file, "-d")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int(pid_file.read_text())
    try:
        say_hello(port).close()  # it was ready before -d returned
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
        assert "running" in (tmp_path / "log").read_text()
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: gone(pid), "the daemon ends")
    assert not pid_file.exists()
    assert "terminating" in (tmp_path / "log").read_text()


def test_pid_file_that_cannot_be_written(tmp_path, port):
    file = conf(tmp_path, STAY + f"listener {port}\npid_file {tmp_path}/no/pid\n")
    done = run("-c", file)
    assert done.returncode == 1
    assert f"Error: Unable to write pid file '{tmp_path}/no/pid'" in done.stderr


# --- another user ------------------------------------------------------------


def owner_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    uid = re.search(r"^Uid:\s+(.*)", status, re.M).group(1).split()
    gid = re.search(r"^Gid:\s+(.*)", status, re.M).group(1).split()
    groups = re.search(r"^Groups:\s*(.*)", status, re.M).group(1).split()
    return set(map(int, uid)), set(map(int, gid)), set(map(int, groups))


def as_root(test):
    """Others can not become anybody: for them there is no such test."""
    return test if IS_ROOT else None


nobody = pwd.getpwnam("nobody")


@pytest.fixture
def public():
    """A directory that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="knut-test-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@as_root
def test_becomes_a_user_that_can_reopen_its_log(start, public, port):
    (public / "logs").mkdir()
    shutil.chown(public / "logs", "nobody")
    log = public / "logs" / "log"
    file = conf(public, f"user nobody\nlistener {port}\nlog_dest file {log}\nlog_dest stderr\n"
                        f"pid_file {public}/pid\n")
    broker = start("-c", file)
    assert owner_of(broker.process.pid) == ({nobody.pw_uid}, {nobody.pw_gid}, {nobody.pw_gid})
    log.rename(public / "logs" / "old")
    broker.process.send_signal(signal.SIGRTMIN)
    until(log.exists, "the log is opened anew")
    assert broker.stop() == 0
    assert (public / "pid").read_text() == ""  # not removable, but empty
    assert "terminating" in log.read_text()


@as_root
@pytest.mark.parametrize("line", ["", "user knut\n", "user mosquitto\n"])
def test_usual_user_may_be_missing(start, tmp_path, port, line):
    name = line.split()[1] if line else "knut"
    broker = start("-c", conf(tmp_path, line + f"listener {port}\n"))
    try:
        expected = pwd.getpwnam(name)
    except KeyError:
        expected = nobody
    warning = f"Warning: There is no user '{name}', trying 'nobody' instead."
    assert (warning in broker.log) == (expected is nobody)
    assert owner_of(broker.process.pid)[0] == {expected.pw_uid}


@as_root
def test_any_other_user_may_not(tmp_path, port):
    done = run("-c", conf(tmp_path, f"user gnat-of-nowhere\nlistener {port}\n"))
    assert done.returncode == 1
    assert "Error: There is no user 'gnat-of-nowhere'." in done.stderr


@as_root
def test_environment_names_the_user(start, tmp_path, port):
    file = conf(tmp_path, f"user root\nlistener {port}\n")
    broker = start("-c", file, env={"PUID": "4711", "PGID": "4712"})
    assert owner_of(broker.process.pid) == ({4711}, {4712}, {4712})


@as_root
def test_root_is_warned(start, tmp_path, port):
    broker = start("-c", conf(tmp_path, f"user root\nlistener {port}\n"))
    assert "Warning: This runs as root" in broker.log


# --- the log -----------------------------------------------------------------


def test_log_file_is_opened_anew(start, tmp_path, port):
    log, old = tmp_path / "log", tmp_path / "log.1"
    file = conf(tmp_path, STAY + f"listener {port}\nlog_dest file {log}\n")
    broker = start("-c", file, ready=None)
    until(lambda: log.exists() and "running" in log.read_text(), "the log says running")
    for number in (signal.SIGRTMIN, signal.SIGHUP):
        log.rename(old)
        broker.process.send_signal(number)
        until(log.exists, f"the log after {number}")
        say_hello(port).close()
        until(lambda: "New client connected" in log.read_text(), "a line in the new file")
    assert broker.stop() == 0
    assert broker.log == ""


def test_quiet(start, tmp_path, port):
    broker = start("-c", conf(tmp_path, STAY + f"listener {port}\n"), "-q", ready=None)
    until(lambda: can_connect(port), "it listens")
    assert broker.stop() == 0
    assert broker.log == ""


def test_verbose(start, port):
    """Subscriptions are not logged by default."""
    for arguments, is_logged in (["-v"], True), ([], False):
        broker = start("-p", port, *arguments)
        client = say_hello(port)
        client.sendall(SUBSCRIBE)
        assert client.recv(5) == bytes.fromhex("90 03 0001 00")
        client.close()
        assert broker.stop() == 0
        assert ("house/+/t" in broker.log) == is_logged


def test_log_types_and_form(start, tmp_path, port):
    file = conf(tmp_path, STAY + f"listener {port}\nlog_type notice\nlog_timestamp_format [%Y]\n"
                                 f"log_dest file {tmp_path}/log\n")
    broker = start("-c", file, ready=None)
    until(lambda: can_connect(port), "it listens")
    say_hello(port).close()
    log = tmp_path / "log"
    until(lambda: "New client connected" in log.read_text(), "the client is logged")
    assert broker.stop() == 0
    assert re.match(r"^\[\d{4}\]: ", log.read_text())
    assert "running" not in log.read_text()  # that is information


def test_log_that_cannot_be_written(tmp_path, port):
    done = run("-c", conf(tmp_path, STAY + f"listener {port}\nlog_dest file {tmp_path}/no/log\n"))
    assert done.returncode == 1
    assert "Error: cannot open log file" in done.stderr


def test_log_to_a_topic(broker):
    b = broker("""
        user root
        listener {mqtt}
        allow_anonymous true
        log_dest stderr
        log_dest topic
        """)
    s = Subscriber(b, "-t", "$SYS/broker/log/N/#")
    say_hello(b.port["mqtt"]).close()
    while b"as test " not in s.next().payload:
        pass
    s.close()


# --- signals -----------------------------------------------------------------


def test_subscriptions_and_saving(start, port):
    broker = start("-p", port)
    client = say_hello(port)
    client.sendall(SUBSCRIBE)
    assert client.recv(5) == bytes.fromhex("90 03 0001 00")
    broker.process.send_signal(signal.SIGUSR2)
    broker.wait_log("house/+/t")
    broker.process.send_signal(signal.SIGUSR1)
    broker.wait_log("There is nothing to save")
    assert is_open(client)
    client.close()
    assert broker.stop() == 0


# --- the service manager -----------------------------------------------------


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(address)

    def next(self):
        return self.socket.recv(1000).decode()

    def wait(self, text):
        while self.next() != text:
            pass


@pytest.mark.parametrize("is_abstract", [False, True])
def test_notify(start, tmp_path, port, is_abstract):
    path = f"knut-test-{os.getpid()}-{port}" if is_abstract else str(tmp_path / "notify")
    manager = Manager("\0" + path if is_abstract else path)
    file = conf(tmp_path, STAY + f"listener {port}\n")
    broker = start("-c", file, env={"NOTIFY_SOCKET": "@" + path if is_abstract else path})
    assert manager.next() == "READY=1"
    broker.process.send_signal(signal.SIGHUP)
    reloading, since = manager.next().split("\n")
    assert reloading == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", since)
    assert manager.next() == "READY=1"
    assert broker.stop() == 0
    assert manager.next() == "STOPPING=1"
    manager.socket.close()


def test_watchdog(start, tmp_path, port):
    manager = Manager(str(tmp_path / "notify"))
    began = time.monotonic()
    start("-p", port, "-c", conf(tmp_path, STAY),
          env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"})
    assert manager.next() == "READY=1"
    for _ in range(3):
        assert manager.next() == "WATCHDOG=1"
    assert time.monotonic() - began >= 0.59  # every 200 ms, and not in a rush
    manager.socket.close()


def test_watchdog_of_another_process(start, tmp_path, port):
    manager = Manager(str(tmp_path / "notify"))
    broker = start("-p", port, "-c", conf(tmp_path, STAY),
                   env={"NOTIFY_SOCKET": str(tmp_path / "notify"),
                        "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    assert manager.next() == "READY=1"
    say_hello(port).close()
    assert broker.stop() == 0
    assert manager.next() == "STOPPING=1"
    manager.socket.close()


def test_nobody_to_notify(start, port, tmp_path):
    for address in ("", "relative", str(tmp_path / "missing"), "/" + "x" * 200):
        broker = start("-p", port, env={"NOTIFY_SOCKET": address})
        assert broker.stop() == 0
