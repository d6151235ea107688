"""What a hostile reviewer has broken once and only a whole process shows; most of
it tells only in a build with sanitizers. The rest: tests/unit/*_regression_test.cpp."""

import socket
import subprocess
import sys

import pytest

import wire
from harness import PATIENCE, PLAIN, binary, needs
from program import STAY, run
from test_reload import REFUSED, reload


# --- listeners that go -------------------------------------------------------


@pytest.mark.parametrize("protocol", ["mqtt", "websockets"])
def test_reload_removes_a_listener_with_silent_connections(broker, protocol):
    """Their connect time-out came after the listener's memory was gone."""
    stays = "connect_timeout 1\nlistener {a}\n"
    b = broker(STAY + stays + f"listener {{b}}\nprotocol {protocol}\n")
    witness = wire.login(b, "witness", name="a")
    silent, begun = b.connect("b"), b.connect("b")
    begun.sendall(b"\x10\x20\x00" if protocol == "mqtt" else b"GET /mq")
    late = wire.login(b, "late", name="b") if protocol == "mqtt" else wire.upgrade(b, "b")
    reload(b, STAY + stays)
    for each in (silent, begun, late):
        wire.read_to_end(each)
    with b.connect("a") as sock:  # closed by the same time-out, which is over then
        assert wire.read_to_end(sock) == b""
    wire.ping(witness)


TWICE = STAY + "listener {a} 127.0.0.1\n\nlistener {a} 127.0.0.1\nprotocol websockets\n"


def test_one_port_for_two_protocols_is_refused(broker):
    """A reload took up the one listener twice, and freed it twice."""
    b = broker(STAY + "listener {a} 127.0.0.1\n")
    witness = wire.login(b, "witness", name="a")
    lines = reload(b, TWICE, REFUSED)
    assert any("Duplicate listener" in line for line in lines)
    wire.ping(witness)
    reload(b, STAY + "listener {a} 127.0.0.1\nprotocol websockets\n")
    assert wire.read_to_end(witness) == b""
    reload(b, TWICE, REFUSED)
    wire.upgrade(b, "a").close()

    b.write(TWICE)
    done = run("-c", b.file)
    assert done.returncode == 3, done
    assert "Duplicate listener" in done.stderr


# --- the end -------------------------------------------------------------------


def test_stop_while_a_slow_reader_holds_large_messages(broker):
    """Its outbox let go of them after their counts were gone."""
    b = broker()
    slow = socket.socket()
    b.sockets.append(slow)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", b.port["mqtt"]))
    slow.sendall(wire.connect("slow"))
    assert wire.read_exactly(slow, 4) == wire.CONNACK
    slow.sendall(wire.packet(0x82, b"\x00\x01" + wire.text("t") + b"\x00"))
    assert wire.read_exactly(slow, 5) == b"\x90\x03\x00\x01\x00"
    other = wire.login(b, "other")
    for _ in range(20):
        other.sendall(wire.publish("t", bytes(1_000_000)))
    wire.ping(other)  # all of them are in
    assert b.stop() == 0


# --- pieces ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mqtt", "ws"])
def test_packets_byte_by_byte(broker, name):
    b = broker(PLAIN)
    sock = b.connect() if name == "mqtt" else wire.upgrade(b)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    packets = wire.connect("slowly") + wire.publish("t", b"x") + wire.PINGREQ
    for i in range(len(packets)):
        piece = packets[i:i + 1]
        sock.sendall(piece if name == "mqtt" else wire.frame(piece))
    answer, wanted = b"", wire.CONNACK + wire.PINGRESP
    while len(answer) < len(wanted):
        if name == "mqtt":
            answer += wire.read_exactly(sock, 1)
        else:
            answer += wire.read_exactly(sock, wire.read_exactly(sock, 2)[1])
    assert answer == wanted


# --- IPv6 from home, with real sockets ---------------------------------------------

# Runs inside a network of its own, where an address can be added. A web client
# comes with a page of somebody else's.
IN_A_NETWORK = """
import socket, subprocess, sys
address, protocol, port = sys.argv[1], sys.argv[2], 18830
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", address + "/64", "dev", "lo", "nodad"], check=True)
REQUEST = b"\\r\\n".join([
    b"GET /mqtt HTTP/1.1", b"Host: evil.example.com", b"Upgrade: websocket",
    b"Connection: Upgrade", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Protocol: mqtt", b"", b""])
CONNECT = bytes.fromhex("10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61")
SENT, WANTED = {"websockets": (REQUEST, b"HTTP/1.1 101"),
                "mqtt": (CONNECT, bytes.fromhex("20 02 00 00"))}[protocol]
broker = subprocess.Popen(sys.argv[3:], stderr=subprocess.PIPE, text=True)
got = []
try:
    while not broker.stderr.readline().endswith(" running\\n"):
        assert broker.poll() is None
    for _ in range(3):
        with socket.create_connection((address, port), timeout=20) as s:
            s.sendall(SENT)
            got.append(s.recv(len(WANTED)))
except OSError as e:
    got.append(e)
finally:
    broker.terminate()
    log = broker.communicate(timeout=20)[1]
if broker.returncode or got != [WANTED] * 3 or "runtime error" in log:
    sys.exit(f"{got}, exit status {broker.returncode}\\n{log}")
"""


def has_own_networks():
    attempt = ["unshare", "-Urn", "ip", "address", "add", "fd00:77::1/64", "dev", "lo"]
    return subprocess.run(attempt, capture_output=True).returncode == 0


@needs("unshare", "ip")
@pytest.mark.parametrize("protocol", ["mqtt", "websockets"])
@pytest.mark.parametrize("address", ["fd00:77::1", "2001:db8::1"], ids=["home", "abroad"])
def test_ipv6_peers_are_counted_in_and_out(tmp_path, address, protocol):
    """Counted under one address, looked for under another: the broker crashed."""
    if not has_own_networks():
        pytest.skip("no network namespace with IPv6 to be had here")
    file = tmp_path / "knut.conf"
    file.write_text(f"{STAY}allow_anonymous true\nlistener 18830 {address}\nprotocol {protocol}\n")
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", IN_A_NETWORK, address, protocol,
         str(binary()), "-c", str(file)], capture_output=True, text=True, timeout=3 * PATIENCE)
    assert done.returncode == 0, done.stderr
