"""Starts the program with any arguments, for tests of the program itself; those
of the broker use Broker of harness.py. Also the smallest of MQTT clients."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import threading

from harness import PATIENCE, SANITIZER, binary

VERSION = (pathlib.Path(__file__).resolve().parents[2] / "VERSION").read_text().strip()

# As root knut would become another user, who could not read the test's files.
STAY = "user root\n"


def run(*arguments, cwd=None, env=None):
    """Runs knut to its end."""
    return subprocess.run([str(binary()), *map(str, arguments)], cwd=cwd, capture_output=True,
                          text=True, timeout=PATIENCE, env={**os.environ, **(env or {})})


class Run:
    """A broker started with any arguments. Ready when the constructor returns."""

    def __init__(self, *arguments, cwd=None, env=None, program=None, ready=" running\n"):
        self.process = subprocess.Popen(
            [str(program or binary()), *map(str, arguments)], cwd=cwd, text=True,
            env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = ""
        if ready:
            self.wait_log(ready)

    def wait_log(self, part):
        """Reads on until the log holds this text."""
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            while part not in self.log:
                line = self.process.stderr.readline()
                assert line, f"the log ended without {part!r}:\n{self.log}"
                self.log += line
        finally:
            watchdog.cancel()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.end()

    def end(self):
        self.log += self.process.communicate(timeout=PATIENCE)[1]
        assert not SANITIZER.search(self.log), self.log
        return self.process.returncode


def conf(folder, text):
    file = folder / "knut.conf"
    file.write_text(text)
    return file


def can_connect(port, address="127.0.0.1"):
    try:
        socket.create_connection((address, port), timeout=PATIENCE).close()
        return True
    except ConnectionRefusedError:
        return False


def connect_packet(name):
    """CONNECT of MQTT 3.1.1 with a clean session and a keep-alive of 60 s."""
    body = b"\0\4MQTT\4\2\0\x3c" + len(name).to_bytes(2, "big") + name
    return bytes([0x10, len(body)]) + body


CONNECT = connect_packet(b"test")


def say_hello(port, name=b"test"):
    """A connected client that says nothing more."""
    s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    s.sendall(connect_packet(name))
    assert s.recv(4) == bytes.fromhex("20 02 00 00")
    return s


def is_open(s):
    """PINGREQ is answered."""
    try:
        s.sendall(bytes.fromhex("c0 00"))
        return s.recv(2) == bytes.fromhex("d0 00")
    except ConnectionError:
        return False


SUBSCRIBE = bytes.fromhex("82 0e 0001 0009") + b"house/+/t" + b"\0"


def other_address():
    """An IPv4 address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        return s.getsockname()[0]


@contextlib.contextmanager
def starter():
    """Gives a function that starts a Run; ends them all."""
    with contextlib.ExitStack() as stack:
        def begin(*arguments, **options):
            each = Run(*arguments, **options)
            stack.callback(each.process.stderr.close)
            stack.callback(each.process.wait)
            stack.callback(each.process.kill)
            return each

        yield begin
