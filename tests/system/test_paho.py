"""Paho for Python: sessions, wills, limits, over TCP and WebSocket."""

import textwrap

import pytest

from harness import PLAIN, mosquitto_pub, until
from paho_client import V5, V31, V311, properties

SYS = """
    sys_interval 1
    listener {mqtt}
    """

TRANSPORTS = [pytest.param({"name": "mqtt"}, id="tcp"),
              pytest.param({"name": "ws", "transport": "websockets"}, id="websocket")]
VERSIONS = [pytest.param(V31, id="v31"), pytest.param(V311, id="v311"), pytest.param(V5, id="v5")]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_messages_of_each_qos_arrive_in_order(broker, paho, version, transport):
    b = broker()
    receiver = paho(b, "receiver", version=version, **transport)
    sender = paho(b, "sender", version=version, **transport)
    for qos in range(3):
        assert receiver.subscribe(f"t/{qos}", 2) == 2
        for n in range(50):
            sender.publish(f"t/{qos}", f"{qos}-{n}", qos)
        for n in range(50):
            message = receiver.next()
            assert (message.payload.decode(), message.qos) == (f"{qos}-{n}", qos)
    receiver.unsubscribe("t/0")
    sender.publish("t/0", "gone")
    sender.publish("t/1", "end")
    assert receiver.next().payload == b"end"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_large_message_and_many_small_ones(broker, paho, transport):
    b = broker("max_queued_messages 0\n" + textwrap.dedent(PLAIN))
    receiver = paho(b, "receiver", **transport)
    receiver.subscribe("#", 1)
    sender = paho(b, "sender", **transport)
    large = bytes(range(256)) * 6000
    sender.publish("large", large, 1)
    assert receiver.next().payload == large
    infos = [sender.client.publish("small", str(n), 1) for n in range(2000)]
    assert receiver.payloads(2000) == [str(n) for n in range(2000)]
    infos[-1].wait_for_publish(10)


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_durable_session_is_present_again(broker, paho, version):
    b = broker()
    expiry = {"SessionExpiryInterval": 3600} if version == V5 else {}
    c = paho(b, "durable", version=version, clean=False, **expiry)
    assert not c.session_present
    c.subscribe("d", 1)
    c.disconnect()
    sender = paho(b, "sender")
    for n in range(5):
        sender.publish("d", str(n), 1)
    c.connect()
    assert c.session_present
    assert c.payloads(5) == list("01234")


@pytest.mark.parametrize("version", VERSIONS[1:])
@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_not_acknowledged_comes_again(broker, paho, version, qos):
    b = broker()
    expiry = {"SessionExpiryInterval": 3600} if version == V5 else {}
    c = paho(b, "durable", version=version, clean=False, **expiry)
    c.subscribe("d", 2)
    sender = paho(b, "sender")
    if qos == 1:
        # Cut the line while the message is in the client's hands.
        c.before_ack = lambda message: c.client.socket().shutdown(2)
        sender.publish("d", "once", 1)
        first = c.next()
        assert (first.payload, first.dup) == (b"once", False)
        c.lost()
        c.before_ack = None
    else:
        # It never sees the PUBLISH: its line is cut before.
        c.drop()
        sender.publish("d", "once", 2)
    c.connect()
    assert c.session_present
    again = c.next()
    assert (again.payload, again.qos, again.dup) == (b"once", qos, qos == 1)
    sender.publish("d", "end", qos)
    assert c.next().payload == b"end"


def test_a_clean_start_forgets(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5, clean=False, SessionExpiryInterval=3600)
    c.subscribe("t", 1)
    c.disconnect()
    c.connect(clean=True)
    assert not c.session_present
    paho(b, "sender").publish("t", "lost", 1)
    c.subscribe("t", 1)
    paho(b, "sender2").publish("t", "seen", 1)
    assert c.next().payload == b"seen"


def test_a_session_expires(broker, paho):
    b = broker(SYS)
    watcher = paho(b, "watcher")
    watcher.subscribe("$SYS/broker/clients/expired")
    c = paho(b, "short", version=V5, clean=False, SessionExpiryInterval=1)
    c.subscribe("t", 1)
    c.drop()
    while watcher.next().payload != b"1":
        pass
    c.connect()
    assert not c.session_present


def test_a_takeover_ends_the_older_connection(broker, paho):
    b = broker()
    old = paho(b, "same", version=V5)
    new = paho(b, "same", version=V5)
    old.lost() # Paho 1.6 does not tell the 0x8E; tests/seq looks at it
    b.wait_log(r"Client same \[127\.0\.0\.1:\d+\] disconnected: session taken over\.")
    new.subscribe("t")
    new.publish("t", "alive")
    assert new.next().payload == b"alive"


def test_a_takeover_keeps_a_durable_session(broker, paho):
    b = broker()
    old = paho(b, "same", clean=False)
    old.subscribe("t", 1)
    new = paho(b, "same", clean=False)
    old.lost()
    assert new.session_present
    paho(b, "sender").publish("t", "x", 1)
    assert new.next().payload == b"x"


def test_a_delayed_will_waits(broker, paho):
    b = broker()
    watcher = paho(b, "watcher", version=V5)
    watcher.subscribe("w/#", 1)
    doomed = paho(b, "doomed", version=V5, SessionExpiryInterval=3600, clean=False,
                  will={"topic": "w/late", "payload": "gone", "qos": 1,
                        "properties": properties("willmessage", WillDelayInterval=1,
                                                 UserProperty=("why", "cut"))})
    doomed.drop()
    b.wait_log(r"Client doomed \[.*\] disconnected")
    watcher.publish("w/first", "meanwhile", 1)
    assert watcher.next().payload == b"meanwhile"
    will = watcher.next()
    assert (will.topic, will.payload, will.qos) == ("w/late", b"gone", 1)
    assert will.properties.UserProperty == [("why", "cut")]


def test_a_delayed_will_is_called_off_by_a_return(broker, paho):
    b = broker()

    def with_will(name, delay):
        return paho(b, name, version=V5, SessionExpiryInterval=3600, clean=False,
                    will={"topic": f"w/{name}", "payload": "gone", "qos": 1,
                          "properties": properties("willmessage", WillDelayInterval=delay)})

    watcher = paho(b, "watcher", version=V5)
    watcher.subscribe("w/#", 1)
    returns, stays_away = with_will("returns", 1), with_will("stays_away", 2)
    returns.drop()
    returns.connect()
    stays_away.drop() # its will is the clock: the other's would have come before
    assert watcher.next().topic == "w/stays_away"


def test_disconnect_with_will(broker, paho):
    b = broker()
    watcher = paho(b, "watcher")
    watcher.subscribe("w")
    will = {"topic": "w", "payload": "asked for"}
    paho(b, "plain", version=V5, will={"topic": "w", "payload": "not asked for"}).disconnect()
    paho(b, "asking", version=V5, will=will).disconnect(0x04)
    assert watcher.next().payload == b"asked for"


def test_a_message_expires(broker, paho):
    b = broker()
    c = paho(b, "away", version=V5, clean=False, SessionExpiryInterval=3600)
    c.subscribe("t", 1)
    c.disconnect()
    sender = paho(b, "sender", version=V5)
    sender.publish("t", "short", 1, MessageExpiryInterval=1)
    sender.publish("t", "long", 1, MessageExpiryInterval=1000)
    sender.publish("r", "short", 1, retain=True, MessageExpiryInterval=2) # the clock
    probe = paho(b, "probe", version=V5)

    probe.subscribe("end")

    def retained_is_gone():
        probe.subscribe("r", 1)
        probe.publish("end", "end")
        seen = []
        while seen[-1:] != [b"end"]:
            seen.append(probe.next().payload)
        return seen == [b"end"]

    until(retained_is_gone, "the retained message expires")
    c.connect()
    message = c.next()
    assert message.payload == b"long"
    assert 0 < message.properties.MessageExpiryInterval < 1000


def test_subscription_identifiers(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5)
    c.subscribe("a/+", 0, identifier=7)
    c.publish("a/b", "x")
    assert c.next().properties.SubscriptionIdentifier == [7]
    c.subscribe("a/+", 0, identifier=268435455)
    c.publish("a/b", "x")
    assert c.next().properties.SubscriptionIdentifier == [268435455]


def test_topic_aliases_of_a_client(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5)
    assert c.connack.TopicAliasMaximum == 10
    c.subscribe("long/topic/of/a/sensor")
    c.publish("long/topic/of/a/sensor", "first", TopicAlias=1)
    c.publish("", "second", TopicAlias=1)
    assert [(m.topic, m.payload) for m in (c.next(), c.next())] == [
        ("long/topic/of/a/sensor", b"first"), ("long/topic/of/a/sensor", b"second")]
    c.client.publish("t", "x", properties=properties("publish", TopicAlias=11))
    c.lost()
    b.wait_log(r"Client c \[.*\] disconnected: (protocol error|topic alias invalid)")


def test_topic_aliases_of_the_broker(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5, TopicAliasMaximum=1)
    c.subscribe("#")
    for topic in ("one", "one", "two"):
        c.publish(topic, "x")
    first, second, third = c.next(), c.next(), c.next()
    assert (first.topic, first.properties.TopicAlias) == ("one", 1)
    assert (second.topic, second.properties.TopicAlias) == ("", 1) # Paho leaves it as it came
    assert third.topic == "two" and not hasattr(third.properties, "TopicAlias")


def test_no_local_and_retain_as_published(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5)
    other = paho(b, "other", version=V5)
    c.subscribe("n", 0, noLocal=True)
    c.publish("n", "mine")
    other.publish("n", "theirs")
    assert c.next().payload == b"theirs"
    c.subscribe("r", 0, retainAsPublished=True)
    other.publish("r", "kept", retain=True)
    assert c.next().retain
    c.subscribe("r", 0, retainHandling=2)
    other.publish("r", "live")
    message = c.next()
    assert (message.payload, message.retain) == (b"live", False)


def test_the_receive_maximum_of_a_client_is_kept(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5, ReceiveMaximum=1, clean=False, SessionExpiryInterval=60)
    c.subscribe("t", 2)
    sender = paho(b, "sender")
    for n in range(30):
        sender.publish("t", str(n), 1 + n % 2)
    assert c.payloads(30) == [str(n) for n in range(30)]


def test_the_maximum_packet_size_of_a_client_is_kept(broker, paho):
    b = broker()
    c = paho(b, "c", version=V5, MaximumPacketSize=100)
    c.subscribe("t", 1)
    sender = paho(b, "sender")
    sender.publish("t", "x" * 200, 1)
    sender.publish("t", "small", 1)
    assert c.next().payload == b"small"


def test_the_connack_tells_the_limits(broker, paho):
    b = broker("""
        max_inflight_messages 7
        max_packet_size 5000
        max_keepalive 30
        listener {mqtt}
        max_qos 1
        max_topic_alias 3
        """)
    c = paho(b, "", version=V5)
    assert (c.connack.ReceiveMaximum, c.connack.MaximumPacketSize) == (7, 5000)
    assert (c.connack.ServerKeepAlive, c.connack.MaximumQoS) == (30, 1)
    assert c.connack.TopicAliasMaximum == 3
    assert c.connack.AssignedClientIdentifier.startswith("auto-")
    assert len(c.connack.AssignedClientIdentifier) == 5 + 36


@pytest.mark.parametrize("version", VERSIONS)
def test_an_empty_id(broker, paho, version):
    """3.1 has no empty ids; the others get one made."""
    b = broker()
    c = paho(b, "" if version != V31 else "x", version=version)
    assert c.code == 0
    if version != V31:
        b.wait_log(r"New client connected from \S+ as auto-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12} \(")


def test_anonymous_refused(broker, paho):
    b = broker("""
        allow_anonymous false
        listener {mqtt}
        """)
    assert paho(b, "three").code == 5
    assert paho(b, "five", version=V5).code == 0x87


def test_shared_subscription_moves_on_when_a_member_leaves(broker, paho):
    b = broker()
    one, two = (paho(b, name, version=V5) for name in ("one", "two"))
    one.subscribe("$share/g/t", 1)
    two.subscribe("$share/g/t", 1)
    sender = paho(b, "sender")
    for n in range(4):
        sender.publish("t", str(n), 1)
    assert (one.payloads(2), two.payloads(2)) == (["0", "2"], ["1", "3"])
    one.disconnect()
    for n in range(4, 8):
        sender.publish("t", str(n), 1)
    assert two.payloads(4) == list("4567")


def test_ten_thousand_retained_messages_reach_one_subscriber(broker, paho):
    """The cursor goes on as the receiver drains, above every queue limit."""
    b = broker()
    sender = paho(b, "sender")
    sender.client.max_inflight_messages_set(200)
    infos = [sender.client.publish(f"many/{n}", str(n), 1, True) for n in range(10000)]
    infos[-1].wait_for_publish(20)
    c = paho(b, "c")
    c.subscribe("many/#", 1)
    assert sorted(map(int, c.payloads(10000))) == list(range(10000))
    mosquitto_pub(b, "-t", "many/end", "-m", "end")
    assert c.next().payload == b"end"
