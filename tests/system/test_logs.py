"""The lines of the log that people's log readers look for."""

import os
import re
import signal
import socket
import struct

import pytest

import wire
from harness import mosquitto_pub, needs, until

pytestmark = needs("mosquitto_pub", "mosquitto_sub", "stdbuf")

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*: "
PEER = r"127\.0\.0\.1:\d+"


def test_start_and_stop(broker):
    b = broker()
    assert b.stop() == 0
    text = [re.sub(f"^{ISO}", "", line) for line in b.log]
    assert len([line for line in b.log if re.match(ISO, line)]) == len(b.log)
    version = re.fullmatch(r"knut version (\S+) starting", text[0]).group(1)
    assert f"Config loaded from {b.file}." in text
    for name in ("mqtt", "ws"):
        for family in ("ipv4", "ipv6"):
            assert any(re.fullmatch(rf"Opening {family} (websockets )?listen socket on port {b.port[name]}\.", line)
                       for line in text), (name, family, b.tail())
    assert f"knut version {version} running" in text
    assert text[-1] == f"knut version {version} terminating"


def test_a_client_comes_and_goes(broker):
    b = broker()
    mosquitto_pub(b, "-i", "sensor", "-u", "gerda", "-k", 30, "-t", "t", "-m", "x")
    peer = b.wait_log(rf"New connection from ({PEER}) on port {b.port['mqtt']}\.$").group(1)
    b.wait_log(rf"{ISO}New client connected from {peer} as sensor \(p2, c1, k30, u'gerda'\)\.$")
    b.wait_log(rf"{ISO}Client sensor \[{peer}\] disconnected\.$")


@pytest.mark.parametrize("version, level", [("mqttv31", 1), ("mqttv311", 2), ("mqttv5", 5)])
def test_the_level_that_is_logged(broker, version, level):
    """1 for MQTT 3.1, 2 for 3.1.1, 5 for 5.0: so Mosquitto counts."""
    b = broker()
    mosquitto_pub(b, "-V", version, "-i", "c", "-t", "t", "-m", "x")
    b.wait_log(rf"as c \(p{level}, c1, k60\)\.$")


def test_ipv6_addresses_have_no_brackets(broker):
    b = broker()
    mosquitto_pub(b, "-h", "::1", "-i", "six", "-t", "t", "-m", "x")
    b.wait_log(r"New client connected from ::1:\d+ as six \(p2, c1, k60\)\.$")


def test_how_connections_end(broker):
    b = broker("""
        connect_timeout 1
        max_packet_size 100
        listener {mqtt}
        """)
    wire.login(b, "closes").close()
    b.wait_log(rf"Client closes \[{PEER}\] disconnected: connection closed by client\.$")

    wire.login(b, "silent", keepalive=1)
    b.wait_log(rf"Client silent \[{PEER}\] disconnected: exceeded timeout\.$")

    wire.login(b, "same")
    wire.login(b, "same")
    b.wait_log(rf"Client same \[{PEER}\] disconnected: session taken over\.$")

    wire.login(b, "large").sendall(wire.publish("t", b"x" * 200))
    b.wait_log(rf"Client large \[{PEER}\] disconnected: oversize packet\.$")

    wire.login(b, "malformed").sendall(wire.packet(0x36, wire.text("t") + b"\0\1"))
    b.wait_log(rf"Client malformed \[{PEER}\] disconnected: malformed packet\.$")

    wire.login(b, "twice").sendall(wire.connect("twice"))
    b.wait_log(rf"Client twice \[{PEER}\] disconnected: protocol error\b")

    mute = b.connect()
    assert wire.read_to_end(mute) == b""
    host, port = mute.getsockname()
    b.wait_log(rf"{re.escape(host)}:{port}\b.*")


def test_a_reset_is_logged(broker):
    b = broker()
    sock = wire.login(b, "reset")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    b.wait_log(rf"Client reset \[{PEER}\] disconnected")


def test_a_refusal_names_the_address_and_the_reason(broker):
    b = broker("""
        allow_anonymous false
        listener {mqtt}
        """)
    done = mosquitto_pub(b, "-i", "stranger", "-t", "t", "-m", "x", check=False)
    assert done.returncode == 5
    peer = b.wait_log(rf"New connection from ({PEER}) on port").group(1)
    b.wait_log(rf"stranger.*{peer}.*not authorised|{peer}.*(stranger)?.*not authorised")


def test_a_client_id_cannot_forge_a_line(broker):
    b = broker()
    sock = b.connect()
    sock.sendall(wire.connect("x\n2026-01-01T00:00:00+0000: forged\x1b[31m"))
    b.wait_log(r"New client connected|disconnected")
    assert b.stop() == 0
    assert not b.has_logged(r"^2026-01-01T00:00:00\+0000: forged")
    assert not b.has_logged("\x1b")


def test_packets_are_logged_when_asked_for(broker, subscribe):
    b = broker("""
        log_type all
        listener {mqtt}
        """)
    s = subscribe(b, "-i", "reader", "-q", 1, "-t", "a/b")
    mosquitto_pub(b, "-i", "writer", "-q", 1, "-t", "a/b", "-m", "1234567")
    s.next()
    b.wait_log(r"Received SUBSCRIBE from reader$")
    b.wait_log(r"Sending SUBACK to reader$")
    b.wait_log(r"Received PUBLISH from writer \(d0, q1, r0, m1, 'a/b', \.\.\. \(7 bytes\)\)$")
    b.wait_log(r"Sending PUBLISH to reader \(d0, q1, r0, m1, 'a/b', \.\.\. \(7 bytes\)\)$")
    b.wait_log(r"Sending PUBACK to writer \(m1, rc0\)$")
    b.wait_log(r"Received PUBACK from reader \(Mid: 1(, RC:0)?\)$")


def test_verbose_on_the_command_line(broker):
    b = broker(arguments=["-v"])
    mosquitto_pub(b, "-i", "w", "-t", "t", "-m", "x")
    b.wait_log(r"Received PUBLISH from w \(d0, q0, r0, m0, 't', \.\.\. \(1 bytes\)\)$")


def test_connection_messages_can_be_switched_off(broker, subscribe):
    b = broker("""
        connection_messages false
        listener {mqtt}
        """)
    mosquitto_pub(b, "-i", "quiet", "-t", "t", "-m", "x")
    assert b.stop() == 0
    assert not b.has_logged("quiet")


def test_time_stamps_can_be_chosen(broker):
    b = broker("""
        log_timestamp_format [%Y]
        listener {mqtt}
        """)
    b.wait_log(r"^\[\d{4}\]: knut version \S+ running$")
    plain = broker("""
        log_timestamp false
        listener {mqtt}
        """)
    plain.wait_log(r"^knut version \S+ running$")


def test_a_log_file_is_opened_anew(broker):
    """As logrotate does it: move, then SIGHUP."""
    b = broker("""
        log_dest file {dir}/knut.log
        log_dest stderr
        listener {mqtt}
        """)
    log = b.dir / "knut.log"
    until(lambda: log.exists() and " running" in log.read_text(), "the log file is written")
    os.rename(log, b.dir / "old.log")
    b.process.send_signal(signal.SIGHUP)
    until(log.exists, "the log file is opened anew")
    mosquitto_pub(b, "-i", "after", "-t", "t", "-m", "x")
    until(lambda: "as after (" in log.read_text(), "lines go to the new file")
    assert "as after (" not in (b.dir / "old.log").read_text()


def test_the_log_as_topics(broker, subscribe):
    b = broker("""
        log_type all
        log_dest topic
        log_dest stderr
        listener {mqtt}
        """)
    s = subscribe(b, "-t", "$SYS/broker/log/#")
    mosquitto_pub(b, "-i", "seen", "-t", "t", "-m", "x")
    topics = set()
    while True:
        got = s.next()
        topics.add(got.topic)
        if b"as seen (" in got.payload:
            break
    assert got.topic == "$SYS/broker/log/N"
    # Debug lines never go there: each would make the next.
    mosquitto_pub(b, "-t", "$share", "-m", "x", check=False)
    subscribe(b, "-i", "other", "-t", "what/is/subscribed")
    while "what/is/subscribed" not in got.payload.decode():
        got = s.next()
        topics.add(got.topic)
    assert got.topic == "$SYS/broker/log/M/subscribe"
    assert topics <= {f"$SYS/broker/log/{name}" for name in ("E", "W", "N", "I", "M/subscribe", "M/unsubscribe")}
    assert b.has_logged(r"Sending SUBACK to other")


def test_who_may_connect_is_said_at_start(broker):
    """Nothing about passwords anywhere: the log says what that means, and the line that changes it."""
    b = broker()
    assert b.has_logged(r"Warning: .*allow_anonymous") or b.has_logged(r"allow_anonymous")
    explicit = broker("""
        allow_anonymous true
        listener {mqtt}
        """)
    assert not explicit.has_logged(r"allow_anonymous")
