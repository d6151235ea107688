"""Paho for Python with calls that wait for their answer.

Works with Paho 1.6 (Debian 12) and 2.x (its interface of version 1).
"""

import queue
import socket
import warnings

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness import PATIENCE

V31, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5


def properties(kind, **values):
    """properties("publish", MessageExpiryInterval=2)"""
    result = Properties(getattr(PacketTypes, kind.upper()))
    for name, value in values.items():
        setattr(result, name, value)
    return result


class Paho:
    def __init__(self, b, client_id="", version=V311, name="mqtt", transport="tcp", clean=True,
                 keepalive=60, username=None, will=None, **connect_properties):
        options = {"protocol": version, "transport": transport, "reconnect_on_failure": False}
        if version != V5:
            options["clean_session"] = clean
        with warnings.catch_warnings():
            warnings.simplefilter("ignore") # 2.x would rather have its new interface
            if hasattr(mqtt, "CallbackAPIVersion"):
                self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1, client_id, **options)
            else:
                self.client = mqtt.Client(client_id, **options)
        self.broker = b
        self.version = version
        self.clean = clean
        self.where = ("127.0.0.1", b.port[name], keepalive)
        self.connect_properties = connect_properties
        if username is not None:
            self.client.username_pw_set(username)
        if will is not None:
            self.client.will_set(**will)
        self._connacks = queue.Queue()
        self._subacks = queue.Queue()
        self._messages = queue.Queue()
        self._losses = queue.Queue()
        self.before_ack = None # called with each message before it is acknowledged
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda client, user, mid, codes, *rest: self._subacks.put((mid, codes))
        self.client.on_unsubscribe = lambda client, user, mid, *rest: self._subacks.put((mid, rest))
        self.client.on_message = self._on_message
        self.client.on_disconnect = lambda client, user, code, *rest: self._losses.put(code)

    def _on_connect(self, client, user, flags, code, props=None):
        self._connacks.put((flags, code, props))

    def _on_message(self, client, user, message):
        if self.before_ack:
            self.before_ack(message)
        self._messages.put(message)

    def _get(self, source, what):
        try:
            return source.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no {what}\n{self.broker.tail()}") from None

    def connect(self, clean=None):
        """Connects and keeps what the CONNACK said."""
        self.client.loop_stop()
        options = {}
        if self.version == V5:
            options["clean_start"] = self.clean if clean is None else clean
            options["properties"] = properties("connect", **self.connect_properties)
        self.client.connect(*self.where, **options)
        self.client.loop_start()
        flags, code, self.connack = self._get(self._connacks, "CONNACK")
        self.code = getattr(code, "value", code)
        self.session_present = bool(flags["session present"])
        return self

    def subscribe(self, topic, qos=0, identifier=None, **options):
        """Subscribes; returns the reason code."""
        if self.version == V5:
            props = properties("subscribe", SubscriptionIdentifier=identifier) if identifier else None
            _, mid = self.client.subscribe(topic, options=SubscribeOptions(qos, **options), properties=props)
        else:
            _, mid = self.client.subscribe(topic, qos)
        answered, codes = self._get(self._subacks, "SUBACK")
        assert answered == mid
        return getattr(codes[0], "value", codes[0])

    def unsubscribe(self, topic):
        _, mid = self.client.unsubscribe(topic)
        answered, _ = self._get(self._subacks, "UNSUBACK")
        assert answered == mid

    def publish(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publishes, and waits until it is sent, or acknowledged."""
        extra = {"properties": properties("publish", **props)} if props else {}
        info = self.client.publish(topic, payload, qos, retain, **extra)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), f"not acknowledged: {topic}\n{self.broker.tail()}"

    def next(self):
        """The next message."""
        return self._get(self._messages, "message")

    def payloads(self, count):
        return [self.next().payload.decode() for _ in range(count)]

    def lost(self):
        """Waits for the end of the connection; returns the reason code."""
        code = self._get(self._losses, "end of the connection")
        return getattr(code, "value", code)

    def drop(self):
        """Breaks the connection off, without a DISCONNECT."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.lost()

    def disconnect(self, code=None):
        if code is None:
            self.client.disconnect()
        else:
            reason = mqtt.ReasonCodes(PacketTypes.DISCONNECT, identifier=code)
            self.client.disconnect(reasoncode=reason)
        self.lost()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()
