"""Just enough of MQTT and WebSocket to write wrong bytes on purpose."""

import base64
import os
import struct

from harness import PATIENCE


def text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def length(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def packet(head, body):
    return bytes([head]) + length(len(body)) + body


def connect(client_id, keepalive=60, clean=True):
    return packet(0x10, text("MQTT") + bytes([4, 2 if clean else 0])
                  + struct.pack(">H", keepalive) + text(client_id))


def publish(topic, payload):
    return packet(0x30, text(topic) + payload)


CONNACK = bytes([0x20, 2, 0, 0])
PINGREQ = bytes([0xC0, 0])
PINGRESP = bytes([0xD0, 0])


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, f"closed after {data!r}"
        data += more
    return data


def read_to_end(sock):
    """What comes until the broker closes, which it must."""
    sock.settimeout(PATIENCE)
    data = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return data
            data += more
    except ConnectionResetError:
        return data


def send_all(sock, data):
    """Sends, also where the broker may close before it has read it all.
    False if it did."""
    try:
        sock.sendall(data)
        return True
    except (BrokenPipeError, ConnectionResetError):
        return False


def login(b, client_id, name="mqtt", **options):
    """A plain connection with the CONNACK read."""
    sock = b.connect(name)
    sock.sendall(connect(client_id, **options))
    assert read_exactly(sock, 4) == CONNACK
    return sock


def ping(sock):
    """One round trip: whoever is served gets an answer."""
    sock.sendall(PINGREQ)
    assert read_exactly(sock, 2) == PINGRESP


def handshake(port, path="/mqtt", **headers):
    """A good WebSocket request, or one with headers replaced (None: left out)."""
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqtt",
    }
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def frame(payload, opcode=2, fin=True):
    """A masked frame, as a client sends it."""
    key = os.urandom(4)
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        size = b"\xfe" + struct.pack(">H", len(payload))
    else:
        size = b"\xff" + struct.pack(">Q", len(payload))
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | opcode]) + size + key + masked


def upgrade(b, name="ws", **headers):
    """A WebSocket connection; the broker has said 101."""
    sock = b.connect(name)
    sock.sendall(handshake(b.port[name], **headers))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += read_exactly(sock, 1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return sock
