"""mosquitto_pub, mosquitto_sub and mosquitto_rr, as people's scripts call them."""

import os
import subprocess

import pytest

from harness import PATIENCE, mosquitto_pub, mosquitto_sub, needs

pytestmark = needs("mosquitto_pub", "mosquitto_sub", "stdbuf")

TIMED_OUT = 27 # mosquitto_sub's own exit status for it

VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_qos_arrives_as_it_was_sent(broker, subscribe, version, qos):
    b = broker()
    s = subscribe(b, "-V", version, "-q", 2, "-t", "home/+/temperature")
    assert s.granted == [2]
    mosquitto_pub(b, "-V", version, "-q", qos, "-t", "home/kitchen/temperature", "-m", "21.5")
    got = s.next()
    assert got == ("home/kitchen/temperature", qos, 0, b"21.5", "")


@pytest.mark.parametrize("publisher", VERSIONS)
@pytest.mark.parametrize("subscriber", VERSIONS)
def test_versions_understand_each_other(broker, subscribe, publisher, subscriber):
    b = broker()
    s = subscribe(b, "-V", subscriber, "-q", 1, "-t", "a/b")
    mosquitto_pub(b, "-V", publisher, "-q", 2, "-t", "a/b", "-m", "x")
    assert s.next() == ("a/b", 1, 0, b"x", "")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_thousand_lines_arrive_in_order(broker, subscribe, version):
    b = broker()
    s = subscribe(b, "-V", version, "-q", 1, "-t", "lines")
    mosquitto_pub(b, "-V", version, "-q", 1, "-t", "lines", "-l",
                  input="".join(f"{n}\n" for n in range(1000)))
    assert s.payloads(1000) == [str(n) for n in range(1000)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_retained_message_waits_for_subscribers(broker, subscribe, version):
    b = broker()
    mosquitto_pub(b, "-V", version, "-q", 1, "-r", "-t", "r/1", "-m", "first")
    mosquitto_pub(b, "-V", version, "-q", 1, "-r", "-t", "r/1", "-m", "second")
    s = subscribe(b, "-V", version, "-t", "r/#", "-q", 2)
    assert s.next() == ("r/1", 1, 1, b"second", "")
    mosquitto_pub(b, "-V", version, "-r", "-t", "r/1", "-m", "third")
    assert s.next() == ("r/1", 0, 0, b"third", "")
    mosquitto_pub(b, "-V", version, "-r", "-n", "-t", "r/1") # clears it
    assert s.next().payload == b""
    late = subscribe(b, "-V", version, "-t", "r/#")
    mosquitto_pub(b, "-V", version, "-t", "r/end", "-m", "end")
    assert late.next().topic == "r/end"


def test_retained_only_and_remove_retained(broker):
    b = broker()
    for n in range(3):
        mosquitto_pub(b, "-r", "-q", 1, "-t", f"r/{n}", "-m", n)
    done = mosquitto_sub(b, "-t", "r/#", "--retained-only", "-v", "-C", "3")
    assert (done.returncode, done.stdout) == (0, "r/0 0\nr/1 1\nr/2 2\n")
    done = mosquitto_sub(b, "-t", "r/#", "--retained-only", "--remove-retained", "-W", "1")
    assert done.returncode == TIMED_OUT
    done = mosquitto_sub(b, "-t", "r/#", "-C", "1", "-W", "1")
    assert (done.returncode, done.stdout) == (TIMED_OUT, "")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_will_of_a_client_that_dies_is_sent(broker, subscribe, version):
    b = broker()
    s = subscribe(b, "-V", version, "-q", 1, "-t", "will/#")
    doomed = subscribe(b, "-V", version, "-t", "x", "--will-topic", "will/doomed",
                       "--will-payload", "gone", "--will-qos", 1, "--will-retain")
    doomed.process.kill()
    assert s.next() == ("will/doomed", 1, 0, b"gone", "")
    late = subscribe(b, "-V", version, "-q", 1, "-t", "will/#")
    assert late.next() == ("will/doomed", 1, 1, b"gone", "")


def test_the_will_of_a_client_that_says_goodbye_is_not_sent(broker, subscribe):
    b = broker()
    s = subscribe(b, "-t", "#")
    mosquitto_pub(b, "--will-topic", "will", "--will-payload", "gone", "-t", "hello", "-m", "1")
    mosquitto_pub(b, "-t", "end", "-m", "1")
    assert [s.next().topic, s.next().topic] == ["hello", "end"]


@pytest.mark.parametrize("version", VERSIONS)
def test_count_and_timeout_end_mosquitto_sub(broker, version):
    b = broker()
    mosquitto_pub(b, "-r", "-t", "one", "-m", "1")
    done = mosquitto_sub(b, "-V", version, "-t", "+", "-C", "1", "-W", "15")
    assert (done.returncode, done.stdout) == (0, "1\n")
    done = mosquitto_sub(b, "-V", version, "-t", "nothing", "-W", "1")
    assert done.returncode == TIMED_OUT


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_a_large_payload_arrives_whole(broker, version):
    b = broker()
    sent = b.dir / "sent"
    sent.write_bytes(os.urandom(1_900_000))
    mosquitto_pub(b, "-V", version, "-q", 1, "-r", "-t", "big", "-f", sent)
    done = mosquitto_sub(b, "-V", version, "-t", "big", "-C", "1", "-N", "-q", "1", text=False)
    assert done.returncode == 0
    assert done.stdout == sent.read_bytes()


def test_a_packet_above_the_limit_is_refused(broker):
    b = broker("""
        max_packet_size 1000
        listener {mqtt}
        """)
    assert mosquitto_pub(b, "-q", 1, "-t", "t", "-m", "x" * 900).returncode == 0
    refused = mosquitto_pub(b, "-q", 1, "-t", "t", "-s", input="x" * 1100, check=False)
    assert refused.returncode != 0
    b.wait_log(r"disconnected: oversize packet\.")


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_shared_subscribers_take_turns(broker, subscribe, version):
    b = broker()
    members = [subscribe(b, "-V", version, "-q", 1, "-t", "$share/workers/job/#") for _ in range(2)]
    mosquitto_pub(b, "-q", 1, "-t", "job/1", "-l", input="".join(f"{n}\n" for n in range(10)))
    assert [m.payloads(5) for m in members] == [list("02468"), list("13579")]


def test_properties_are_handed_on(broker, subscribe):
    b = broker()
    s = subscribe(b, "-V", "mqttv5", "-q", 1, "-t", "p", extra="%C|%R|%D|%P|%F|%E")
    mosquitto_pub(b, "-V", "mqttv5", "-q", 1, "-t", "p", "-m", "x",
                  "-D", "publish", "content-type", "text/plain",
                  "-D", "publish", "response-topic", "answers/here",
                  "-D", "publish", "correlation-data", "abc",
                  "-D", "publish", "user-property", "room", "kitchen",
                  "-D", "publish", "payload-format-indicator", "1",
                  "-D", "publish", "message-expiry-interval", "1000")
    *others, expiry = s.next().rest.split("|")
    assert others == ["text/plain", "answers/here", "abc", "room:kitchen", "1"]
    assert 0 < int(expiry) <= 1000


def test_request_and_response(broker, subscribe):
    b = broker()
    s = subscribe(b, "-V", "mqttv5", "-t", "ask", extra="%R")
    asking = subprocess.Popen(["mosquitto_rr", "-p", str(b.port["mqtt"]), "-t", "ask", "-e",
                               "answer/1", "-m", "how warm?", "-W", "15"],
                              stdout=subprocess.PIPE, text=True)
    asked = s.next()
    assert (asked.payload, asked.rest) == (b"how warm?", "answer/1")
    mosquitto_pub(b, "-t", asked.rest, "-m", "21.5")
    assert asking.communicate(timeout=PATIENCE)[0] == "21.5\n"
    assert asking.returncode == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_durable_session_keeps_what_came_meanwhile(broker, subscribe, version):
    b = broker()
    session = ["-V", version, "-c", "-i", "durable", "-q", 1, "-t", "d/#"]
    if version == "mqttv5":
        session += ["-x", 3600]
    first = subscribe(b, *session)
    first.close()
    b.wait_log(r"Client durable \[.*\] disconnected")
    mosquitto_pub(b, "-q", 1, "-t", "d/1", "-l", input="a\nb\nc\n")
    mosquitto_pub(b, "-q", 0, "-t", "d/1", "-m", "not kept")
    again = subscribe(b, *session)
    mosquitto_pub(b, "-q", 1, "-t", "d/1", "-m", "live")
    assert again.payloads(4) == ["a", "b", "c", "live"]


def test_unsubscribing_ends_it(broker, subscribe):
    b = broker()
    s = subscribe(b, "-t", "one", "-t", "two", "-U", "one")
    mosquitto_pub(b, "-t", "two", "-m", "x")
    assert s.next().topic == "two"
    mosquitto_pub(b, "-t", "one", "-m", "x")
    mosquitto_pub(b, "-t", "two", "-m", "y")
    assert s.next() == ("two", 0, 0, b"y", "")


def test_a_user_name_is_logged(broker):
    b = broker()
    mosquitto_pub(b, "-i", "me", "-u", "gerda", "-P", "secret", "-t", "t", "-m", "x")
    b.wait_log(r"New client connected from 127\.0\.0\.1:\d+ as me \(p2, c1, k60, u'gerda'\)\.")
    assert not b.has_logged("secret")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_both_families_are_listened_on(broker, address):
    b = broker()
    mosquitto_pub(b, "-h", address, "-i", "sensor", "-t", "t", "-m", "x")
    b.wait_log(r"New client connected from (127\.0\.0\.1|::1):\d+ as sensor ")


def test_a_unix_socket(broker, subscribe):
    b = broker("""
        listener 0 {dir}/knut.sock
        """)
    path = b.dir / "knut.sock"
    assert path.is_socket()
    s = subscribe(b, "--unix", path, "-q", 2, "-t", "u", name=None)
    mosquitto_pub(b, "--unix", path, "-q", 2, "-t", "u", "-m", "x", name=None)
    assert s.next() == ("u", 2, 0, b"x", "")
    s.close()
    assert b.stop() == 0
    assert not path.exists()


def test_a_listener_with_one_address_and_one_without(broker, subscribe):
    b = broker("""
        listener {one} 127.0.0.1
        listener {two}
        """)
    s = subscribe(b, "-t", "t", name="one")
    mosquitto_pub(b, "-t", "t", "-m", "across", name="two")
    assert s.next().payload == b"across"
    refused = mosquitto_pub(b, "-h", "::1", "-t", "t", "-m", "x", name="one", check=False)
    assert refused.returncode != 0


def test_quotas_of_a_slow_subscriber_are_its_own(broker, subscribe):
    """max_queued_messages holds for the absent one; the other gets everything."""
    b = broker("""
        max_queued_messages 5
        max_inflight_messages 3
        listener {mqtt}
        """)
    absent = subscribe(b, "-c", "-i", "absent", "-q", 1, "-t", "q")
    absent.close()
    b.wait_log(r"Client absent \[.*\] disconnected")
    present = subscribe(b, "-q", 1, "-t", "q")
    for n in range(20):
        mosquitto_pub(b, "-q", 1, "-t", "q", "-m", n)
        assert present.next().payload.decode() == str(n)
    b.wait_log(r"Outgoing messages are being dropped for client absent\.")
    absent = subscribe(b, "-c", "-i", "absent", "-q", 1, "-t", "q")
    # What was kept are the first ones (3 on the way, 5 queued, or 5), then live ones.
    mosquitto_pub(b, "-q", 1, "-t", "q", "-m", "end")
    kept = []
    while not kept or kept[-1] != "end":
        kept.append(absent.next().payload.decode())
    assert kept[:-1] in ([str(n) for n in range(8)], [str(n) for n in range(5)])
