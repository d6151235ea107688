"""Peers that break the rules, by mistake or on purpose: the broker closes, serves
the others meanwhile, and its memory is back where it was at the end."""

import os
import random
import resource
import socket
import struct
import time

import pytest

import wire
from harness import PATIENCE, is_sanitized, mosquitto_sub, needs, until

STRICT = """
    connect_timeout 1
    listener {mqtt}
    listener {ws}
    protocol websockets
    """


class Witness:
    """A well-behaved client that must be served all the time."""

    def __init__(self, b):
        self.sock = wire.login(b, "witness", keepalive=0)

    def check(self):
        wire.ping(self.sock)


# --- bytes without sense ---------------------------------------------------


@pytest.mark.parametrize("name", ["mqtt", "ws"])
def test_random_bytes(broker, name):
    b = broker(STRICT)
    witness = Witness(b)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(40):
        sock = b.connect(name)
        wire.send_all(sock, source.randbytes(65536))
        wire.read_to_end(sock)
        sock.close()
        witness.check()


@pytest.mark.parametrize("name", ["mqtt", "ws"])
def test_random_bytes_behind_a_good_beginning(broker, name):
    """Past the first check: after a CONNECT, or after an upgrade."""
    b = broker(STRICT)
    witness = Witness(b)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(40):
        if name == "mqtt":
            sock = wire.login(b, "random", keepalive=1)
        else:
            sock = wire.upgrade(b)
            sock.sendall(wire.frame(wire.connect("random", keepalive=1)))
        wire.send_all(sock, source.randbytes(65536))
        wire.read_to_end(sock) # a lying length may have to wait for the keep-alive
        sock.close()
        witness.check()


LIES = {
    "remaining length of five bytes": b"\x10\xff\xff\xff\xff\x01",
    "CONNECT of 256 MB": b"\x10\xff\xff\xff\x7f" + wire.text("MQTT"),
    "CONNECT with an id longer than the packet": wire.packet(
        0x10, wire.text("MQTT") + bytes([4, 2, 0, 60]) + b"\xff\xff" + b"id"),
    "CONNECT with a protocol name longer than the packet": wire.packet(0x10, b"\x40\x00MQTT"),
    "CONNECT with bytes left over": wire.packet(
        0x10, wire.text("MQTT") + bytes([4, 2, 0, 60]) + wire.text("id") + b"rest"),
    "CONNECT 5.0 with properties longer than the packet": wire.packet(
        0x10, wire.text("MQTT") + bytes([5, 2, 0, 60]) + b"\xff\x7f" + wire.text("id")),
    "PUBLISH before CONNECT": wire.publish("t", b"x"),
    "type 0": b"\x00\x00",
    "type 15": b"\xf0\x00",
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_lengths_that_lie(broker, lie):
    b = broker(STRICT)
    witness = Witness(b)
    sock = b.connect()
    wire.send_all(sock, lie)
    answer = wire.read_to_end(sock)
    assert answer == b"" or answer[0] == 0x20 and answer[3] != 0, answer # a refusal, if anything
    witness.check()


LATER_LIES = {
    "remaining length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "PUBLISH with a topic longer than the packet": wire.packet(0x30, b"\x00\x10short"),
    "PUBLISH without topic": wire.packet(0x30, b"\x00"),
    "PUBLISH QoS 1 without packet id": wire.packet(0x32, wire.text("t")),
    "PUBLISH QoS 3": wire.packet(0x36, wire.text("t") + b"\x00\x01"),
    "PUBLISH with a wildcard": wire.publish("a/#", b"x"),
    "PUBLISH with wrong UTF-8": wire.packet(0x30, b"\x00\x02\xc0\x80x"),
    "PUBLISH with a zero byte in the topic": wire.publish("a\0b", b"x"),
    "SUBSCRIBE without filter": wire.packet(0x82, b"\x00\x01"),
    "SUBSCRIBE with a filter longer than the packet": wire.packet(0x82, b"\x00\x01\x00\xffa\x00"),
    "SUBSCRIBE with QoS 3": wire.packet(0x82, b"\x00\x01" + wire.text("a") + b"\x03"),
    "SUBSCRIBE with wrong flags": wire.packet(0x80, b"\x00\x01" + wire.text("a") + b"\x00"),
    "PUBACK of one byte": wire.packet(0x40, b"\x00"),
    "PINGREQ with a body": wire.packet(0xC0, b"\x00"),
    "a second CONNECT": wire.connect("liar"),
    "CONNACK from a client": wire.CONNACK,
    "larger than allowed": b"\x30\xff\xff\xff\x7f" + wire.text("t"),
}


@pytest.mark.parametrize("lie", LATER_LIES.values(), ids=LATER_LIES)
def test_lengths_that_lie_after_connect(broker, lie):
    b = broker(STRICT)
    witness = Witness(b)
    sock = wire.login(b, "liar")
    wire.send_all(sock, lie)
    assert wire.read_to_end(sock) == b""
    b.wait_log(r"Client liar \[127\.0\.0\.1:\d+\] disconnected: ")
    witness.check()


FRAMES = {
    "not masked": b"\x82\x02\xc0\x00",
    "text": wire.frame(wire.connect("x"), opcode=1),
    "reserved bit": b"\xc2\x80\0\0\0\0",
    "reserved opcode": wire.frame(b"", opcode=3),
    "length of 2^63": b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0",
    "long form of a short length": b"\x82\xfe\x00\x02\0\0\0\0\xc0\x00",
    "continuation of nothing": wire.frame(b"", opcode=0),
    "ping of 126 bytes": wire.frame(b"x" * 126, opcode=9),
    "ping in pieces": wire.frame(b"", opcode=9, fin=False),
    "close with half a code": wire.frame(b"\x03", opcode=8),
    "new message inside a message": wire.frame(b"", fin=False) + wire.frame(b""),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_wrong_frames(broker, frame):
    b = broker(STRICT)
    witness = Witness(b)
    sock = wire.upgrade(b)
    wire.send_all(sock, frame)
    answer = wire.read_to_end(sock)
    # A Close frame, if anything: MQTT has not begun.
    assert answer == b"" or answer[0] == 0x88 and len(answer) == 2 + answer[1], answer
    witness.check()


# --- handshakes --------------------------------------------------------------


def test_a_websocket_handshake_cut_anywhere(broker):
    b = broker(STRICT)
    witness = Witness(b)
    request = wire.handshake(b.port["ws"])
    for cut in range(len(request)):
        sock = b.connect("ws")
        sock.sendall(request[:cut])
        sock.shutdown(socket.SHUT_WR)
        answer = wire.read_to_end(sock)
        assert not answer.startswith(b"HTTP/1.1 101"), cut
        sock.close()
    witness.check()


def test_a_websocket_handshake_in_single_bytes(broker):
    b = broker()
    sock = b.connect("ws")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in wire.handshake(b.port["ws"]):
        sock.sendall(bytes([byte]))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += wire.read_exactly(sock, 1)
    assert answer.startswith(b"HTTP/1.1 101 ")
    for byte in wire.frame(wire.connect("bytes")):
        sock.sendall(bytes([byte]))
    assert wire.read_exactly(sock, 6) == b"\x82\x04" + wire.CONNACK


REQUESTS = {
    "not GET": (b"POST /mqtt HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    "no version": (b"GET /mqtt\r\n\r\n", 400),
    "wrong version of WebSocket": ({"Sec_WebSocket_Version": "12"}, 426),
    "no key": ({"Sec_WebSocket_Key": None}, 400),
    "short key": ({"Sec_WebSocket_Key": "AAAA"}, 400),
    "no subprotocol": ({"Sec_WebSocket_Protocol": None}, 400),
    "unknown subprotocol": ({"Sec_WebSocket_Protocol": "chat"}, 400),
    "no Host": ({"Host": None}, 400),
    "head too large": ({"X_Filler": "x" * 20000}, 431),
}


@pytest.mark.parametrize("request_, status", REQUESTS.values(), ids=REQUESTS)
def test_wrong_requests(broker, request_, status):
    b = broker(STRICT)
    if isinstance(request_, dict):
        request_ = wire.handshake(b.port["ws"], **request_)
    sock = b.connect("ws")
    wire.send_all(sock, request_)
    answer = wire.read_to_end(sock)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


@pytest.mark.parametrize("header", [{"Host": "evil.example.com"}, {"Origin": "https://evil.example.com"}])
def test_a_foreign_page_is_refused_while_nothing_is_said(broker, header):
    """Any web page that a household opens could reach a private address."""
    b = broker()
    sock = wire.upgrade(b, **header)
    sock.sendall(wire.frame(wire.connect("page")))
    assert wire.read_exactly(sock, 6) == b"\x82\x04\x20\x02\x00\x05" # not authorised
    host, port = sock.getsockname()
    line = b.wait_log(rf".*{host}:{port}.*not authorised.*").group(0)
    assert next(iter(header)) in line


# --- slow ones ---------------------------------------------------------------


def trickle(sock, data):
    """One byte at a time, until the broker closes; how many bytes it took."""
    sock.settimeout(0.05)
    for count, byte in enumerate(data):
        if not wire.send_all(sock, bytes([byte])):
            return count
        try:
            if sock.recv(1) == b"":
                return count
        except TimeoutError:
            pass
        except ConnectionResetError:
            return count
    raise AssertionError("it was never closed")


def test_a_slow_writer_that_never_finishes_its_connect(broker):
    b = broker("""
        connect_timeout 1
        listener {mqtt}
        """)
    witness = Witness(b)
    assert trickle(b.connect(), wire.packet(0x10, wire.text("MQTT") + b"\4\2\0\0" + wire.text("x" * 60000))) > 0
    witness.check()


def test_a_slow_writer_that_never_finishes_its_upgrade(broker):
    b = broker("""
        connect_timeout 1
        listener {mqtt}
        listener {ws}
        protocol websockets
        """)
    witness = Witness(b)
    assert trickle(b.connect("ws"), b"GET / HTTP/1.1\r\nX: " + b"x" * 4000) > 0
    witness.check()


def test_a_slow_writer_that_never_finishes_a_publish(broker):
    """Bytes are no packets: the keep-alive runs out."""
    b = broker(STRICT)
    witness = Witness(b)
    sock = wire.login(b, "slow", keepalive=1)
    assert trickle(sock, wire.publish("t", b"x" * 60000)) > 0
    b.wait_log(r"Client slow \[.*\] disconnected: exceeded timeout\.")
    witness.check()


def test_a_reader_that_never_reads_holds_up_nobody(broker):
    b = broker("""
        max_outbox_bytes 100000
        max_queued_messages 100
        listener {mqtt}
        """)
    slow = wire.login(b, "slow", keepalive=0)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(wire.packet(0x82, b"\x00\x01" + wire.text("flood") + b"\x00"))
    assert wire.read_exactly(slow, 5) == b"\x90\x03\x00\x01\x00"
    quick = wire.login(b, "quick", keepalive=0)
    quick.sendall(wire.packet(0x82, b"\x00\x01" + wire.text("flood") + b"\x00"))
    wire.read_exactly(quick, 5)
    message = wire.publish("flood", b"x" * 10000)
    sender = wire.login(b, "sender", keepalive=0)
    for _ in range(2000):
        sender.sendall(message)
        assert wire.read_exactly(quick, len(message)) == message
    b.wait_log(r"Outgoing messages are being dropped for client slow\.")


# --- many ----------------------------------------------------------------------


def heap(b):
    """Bytes of the broker's own allocator, as $SYS says."""
    done = mosquitto_sub(b, "-i", "heap", "-t", "$SYS/broker/heap/current", "-C", "2", "-W", int(PATIENCE))
    return int(done.stdout.split()[-1])


def allow_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"needs {count} descriptors (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@needs("mosquitto_sub")
@pytest.mark.parametrize("says", ["nothing", "half a CONNECT", "half an upgrade"])
def test_five_thousand_connections_that_say_nothing(broker, says):
    allow_descriptors(6000)
    b = broker("""
        sys_interval 1
        connect_timeout 60
        max_unauthenticated 6000
        max_unauthenticated_per_address 6000
        listener {mqtt}
        listener {ws}
        protocol websockets
        """)
    witness = Witness(b)
    heap_before, memory_before = heap(b), b.private_kib()
    said = {"nothing": b"", "half a CONNECT": wire.connect("x" * 100)[:50],
            "half an upgrade": wire.handshake(b.port["ws"])[:80]}[says]
    name = "ws" if "upgrade" in says else "mqtt"
    crowd = []
    for n in range(5000):
        crowd.append(b.connect(name))
        crowd[-1].sendall(said)
        if n % 250 == 0:
            witness.check()
    until(lambda: b.count_descriptors() >= b.open_at_start + 5001, "all are accepted")
    witness.check()
    for each in crowd:
        each.close()
    until(lambda: b.count_descriptors() <= b.open_at_start + 1, "all are closed")
    witness.check()
    # What may stay is a table of the poll back end: 20 bytes a descriptor.
    until(lambda: heap(b) < heap_before + 250_000, "the broker's memory is given back")
    if not is_sanitized():
        # The broker gives free pages back now and then; that may take half a minute.
        until(lambda: b.private_kib() < memory_before + 1024, "memory is given back", patience=60)


def test_those_that_say_nothing_are_sent_away_in_time(broker):
    b = broker("""
        connect_timeout 1
        listener {mqtt}
        """)
    witness = Witness(b)
    crowd = [b.connect() for _ in range(500)]
    for each in crowd:
        assert wire.read_to_end(each) == b""
    witness.check()
    wire.login(b, "later")


def test_more_strangers_than_allowed_are_turned_away(broker):
    """max_unauthenticated: those who have said who they are do not count."""
    b = broker("""
        connect_timeout 60
        max_unauthenticated 10
        listener {mqtt}
        """)
    witness = Witness(b)
    crowd = [b.connect() for _ in range(30)]
    until(lambda: b.count_descriptors() <= b.open_at_start + 1 + 10, "the surplus is closed")
    witness.check()
    for each in crowd:
        each.close()
    until(lambda: b.count_descriptors() <= b.open_at_start + 1, "the rest is gone")
    wire.login(b, "later")


# --- out of descriptors ----------------------------------------------------------


def test_out_of_descriptors(broker):
    """Accepting pauses and goes on; nobody connected suffers; nothing spins."""
    b = broker("""
        connect_timeout 600
        listener {mqtt}
        """, descriptors=48)
    witness = Witness(b)
    crowd = [b.connect() for _ in range(100)] # the kernel completes these by itself
    until(lambda: b.count_descriptors() >= 48, "no descriptor is left")
    b.wait_log(r"Warning: Unable to accept connections: Too many open files")

    ticks, start = b.cpu_ticks(), time.monotonic()
    until(lambda: witness.check() or time.monotonic() > start + 2, "two seconds of service")
    share = (b.cpu_ticks() - ticks) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
    assert share < 0.3, f"it takes {share:.0%} of a processor while it cannot accept"

    # Who leaves makes room, and those that waited are served.
    last = crowd.pop()
    for each in crowd:
        each.close()
    last.sendall(wire.connect("waited"))
    assert wire.read_exactly(last, 4) == wire.CONNACK
    witness.check()


def test_a_connection_reset_before_it_is_accepted(broker):
    b = broker()
    witness = Witness(b)
    for _ in range(200):
        sock = b.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    witness.check()
