"""Fixtures of the system tests.

    def test_something(broker, subscribe):
        b = broker('''
            listener {mqtt}
            protocol mqtt
            ''')
        s = subscribe(b, "-t", "#")
        ... b.port["mqtt"] ... b.wait_log(r"New connection from (\\S+)") ...

Names in braces become free ports, {dir} the broker's directory. At the end of
the test each broker is stopped and must have behaved: see Broker.finish.
"""

import signal

import pytest

from harness import PLAIN, Broker, Subscriber
from paho_client import Paho


@pytest.fixture(autouse=True)
def no_hanging():
    """What waits for ever says where, instead of holding up all the others."""

    def give_up(*_):
        raise AssertionError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(180)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def broker():
    """Starts brokers: broker() or broker(configuration, ...)."""
    running = []

    def begin(configuration=PLAIN, **options):
        running.append(Broker(configuration, **options))
        return running[-1]

    yield begin
    for each in running:
        each.finish()


@pytest.fixture
def subscribe(broker):
    """Starts mosquitto_sub: subscribe(b, "-t", "#", ...) gives a Subscriber."""
    open_now = []

    def begin(b, *arguments, **options):
        open_now.append(Subscriber(b, *arguments, **options))
        return open_now[-1]

    yield begin
    for each in open_now:
        each.close()


@pytest.fixture
def paho(broker):
    """Makes Paho clients: paho(b, "id", ...) gives a Paho, connected."""
    open_now = []

    def begin(b, client_id="", **options):
        connect = options.pop("connect", True)
        open_now.append(Paho(b, client_id, **options))
        if connect:
            open_now[-1].connect()
        return open_now[-1]

    yield begin
    for each in open_now:
        each.close()
