"""The $SYS tree: names and values that Mosquitto's users read."""

import re

import pytest

from harness import PATIENCE, mosquitto_pub, mosquitto_sub, needs, until

pytestmark = needs("mosquitto_pub", "mosquitto_sub", "stdbuf")

SYS = """
    sys_interval 1
    listener {mqtt}
    """

# Everything under $SYS/broker/ but the loads.
COUNTERS = """
    clients/total clients/maximum clients/connected clients/active clients/disconnected
    clients/inactive clients/expired
    messages/received messages/sent messages/stored
    store/messages/count store/messages/bytes
    subscriptions/count shared_subscriptions/count
    heap/current heap/maximum
    bytes/received bytes/sent publish/bytes/received publish/bytes/sent
    publish/messages/dropped publish/messages/received publish/messages/sent
    packet/out/count packet/out/bytes connections/socket/count
    """.split() + ["retained messages/count"]

LOADS = [f"load/{what}/{span}" for span in ("1min", "5min", "15min") for what in (
    "messages/received", "messages/sent", "publish/received", "publish/sent", "bytes/received",
    "bytes/sent", "publish/dropped", "sockets", "connections")]


def read_tree(b, count):
    """All retained values, as a late subscriber gets them."""
    done = mosquitto_sub(b, "-t", "$SYS/#", "-v", "--retained-only", "-C", count, "-F", "%t\t%q\t%p")
    assert done.returncode == 0, done
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_names_and_values(broker):
    b = broker(SYS)
    names = {"version", "uptime", *COUNTERS, *LOADS}
    seen = read_tree(b, len(names))
    assert {topic.removeprefix("$SYS/broker/") for topic, _, _ in seen} == names
    # What mosquitto_sub shows is the subscription's QoS, which was 0.
    values = {topic.removeprefix("$SYS/broker/"): value for topic, _, value in seen}
    assert re.fullmatch(r"knut version \d+\.\d+\.\d+\S*", values["version"])
    assert re.fullmatch(r"\d+ seconds", values["uptime"])
    for name in COUNTERS:
        assert re.fullmatch(r"\d+", values[name]), name
    for name in LOADS:
        assert re.fullmatch(r"\d+\.\d\d", values[name]), name


def test_values_are_published_with_qos_2_and_retained(broker, subscribe):
    b = broker(SYS)
    s = subscribe(b, "-q", 2, "-t", "$SYS/broker/version")
    got = s.next()
    assert (got.qos, got.retain) == (2, 1)
    assert got.payload.startswith(b"knut version ")


def test_counters_count(broker, subscribe):
    b = broker(SYS)
    watcher = subscribe(b, "-q", 2, "-t", "$SYS/broker/#", "-i", "watcher")
    subscribe(b, "-q", 1, "-t", "a", "-t", "b", "-t", "$share/g/c")
    subscribe(b, "-c", "-i", "away", "-q", 1, "-t", "d").close()
    mosquitto_pub(b, "-q", 1, "-r", "-t", "a", "-m", "12345")

    wanted = {
        "clients/total": 3,          # watcher, the second, the absent one
        "clients/connected": 2,
        "clients/active": 2,
        "clients/disconnected": 1,
        "clients/inactive": 1,
        "shared_subscriptions/count": 1,
        "publish/messages/received": 1,
        "publish/bytes/received": 5,
    }
    values = {}
    while any(values.get(name) != value for name, value in wanted.items()):
        got = watcher.next()
        if got.topic.startswith("$SYS/broker/"):
            text = got.payload.decode().split()[0]
            values[got.topic.removeprefix("$SYS/broker/")] = int(text) if text.isdigit() else text
    assert values["clients/maximum"] >= 3


def test_only_changes_are_published_again(broker, subscribe):
    b = broker(SYS)
    s = subscribe(b, "-t", "$SYS/broker/version", "-t", "$SYS/broker/uptime")
    topics = []
    while topics.count("$SYS/broker/uptime") < 4:
        topics.append(s.next().topic)
    assert topics.count("$SYS/broker/version") == 1


def test_a_hash_does_not_match_it(broker, subscribe):
    b = broker(SYS)
    s = subscribe(b, "-t", "#")
    uptime = subscribe(b, "-t", "$SYS/broker/uptime")
    uptime.next(), uptime.next()
    mosquitto_pub(b, "-t", "x", "-m", "x")
    assert s.next().topic == "x"


def test_interval_zero_switches_it_off(broker, subscribe):
    b = broker("""
        sys_interval 0
        listener {mqtt}
        """)
    s = subscribe(b, "-t", "$SYS/#", "-t", "end")
    mosquitto_pub(b, "-t", "end", "-m", "end")
    assert s.next().topic == "end"


def test_clients_may_not_publish_there(broker, subscribe):
    b = broker("""
        sys_interval 0
        listener {mqtt}
        """)
    s = subscribe(b, "-t", "$SYS/#", "-t", "end")
    mosquitto_pub(b, "-q", 1, "-t", "$SYS/broker/version", "-m", "forged")
    mosquitto_pub(b, "-t", "end", "-m", "end")
    assert s.next().topic == "end"


def test_memory_is_counted_and_given_back(broker):
    b = broker(SYS)

    def heap():
        done = mosquitto_sub(b, "-t", "$SYS/broker/heap/current", "-C", "1", "-W", int(PATIENCE))
        return int(done.stdout)

    before = heap()
    mosquitto_pub(b, "-q", 1, "-r", "-t", "big", "-s", input="x" * 1_000_000)
    until(lambda: heap() > before + 1_000_000, "the retained message is counted")
    mosquitto_pub(b, "-q", 1, "-r", "-n", "-t", "big")
    until(lambda: heap() < before + 100_000, "and given back")
