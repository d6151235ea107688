"""SIGHUP: the new configuration as a whole, or the old one."""

import signal
import socket

from harness import free_port, until
from program import CONNECT, can_connect, is_open, other_address, say_hello


def reload(b, configuration, result=r"Config reloaded\."):
    b.write(configuration)
    since = len(b.log)
    b.process.send_signal(signal.SIGHUP)
    b.wait_log(result, since=since)
    return b.log[since:]


REFUSED = r"The configuration was not reloaded"


def test_listeners_come_and_go(broker):
    b = broker("user root\nlistener {a}\nlistener {b}\n")
    stays, leaves = say_hello(b.port["a"]), say_hello(b.port["b"], b"other")
    reload(b, "user root\nlistener {a}\nlistener {c}\n")
    assert is_open(stays)
    assert leaves.recv(1) == b""
    until(lambda: not can_connect(b.port["b"]), "the old port is closed")
    assert can_connect(b.port["c"])
    stays.close(), leaves.close()


def test_mistake_keeps_the_old_configuration(broker):
    b = broker("user root\nlistener {a}\nmax_keepalive 100\n")
    client = say_hello(b.port["a"])
    lines = reload(b, "user root\nlistener {b}\nnonsense\n", REFUSED)
    assert any("Error: Unknown configuration variable 'nonsense'." in line for line in lines)
    assert any(f"Error found at {b.file}:3." in line for line in lines)
    assert is_open(client)
    assert can_connect(b.port["a"])
    assert not can_connect(b.port["b"])
    client.close()


def test_port_that_is_taken_keeps_the_old_configuration(broker):
    b = broker("user root\nlistener {a}\nlistener {b}\n")
    client = say_hello(b.port["b"])
    with socket.create_server(("0.0.0.0", b.port["taken"])):
        lines = reload(b, "user root\nlistener {a}\nlistener {c}\nlistener {taken}\n", REFUSED)
    assert any("Address already in use" in line for line in lines)
    assert is_open(client)
    assert can_connect(b.port["a"]) and can_connect(b.port["b"])
    assert not can_connect(b.port["c"])
    client.close()


def test_log_that_cannot_be_written_keeps_the_old_configuration(broker):
    b = broker("user root\nlistener {a}\n")
    lines = reload(b, "user root\nlistener {b}\nlog_dest file {dir}/no/log\n", REFUSED)
    assert any("log file" in line for line in lines)
    assert can_connect(b.port["a"]) and not can_connect(b.port["b"])


def test_listener_moves_on_its_port(broker):
    b = broker("user root\nlistener {a} 127.0.0.1\n")
    client = say_hello(b.port["a"])
    reload(b, "user root\nlistener {a}\n")
    b.open_at_start += 1  # IPv6 too
    assert client.recv(1) == b""
    assert can_connect(b.port["a"])
    if other_address():
        assert can_connect(b.port["a"], other_address())
    client.close()


def test_listener_that_cannot_move_goes_on(broker):
    b = broker("user root\nlistener {a} 127.0.0.1\n")
    client = say_hello(b.port["a"])
    with socket.create_server(("0.0.0.0", b.port["taken"])):
        reload(b, "user root\nlistener {a}\nlistener {taken}\n", REFUSED)
    assert is_open(client)
    say_hello(b.port["a"], b"other").close()
    client.close()


def test_protocol_of_a_listener_changes(broker):
    b = broker("user root\nlistener {a}\n")
    client = say_hello(b.port["a"])
    reload(b, "user root\nlistener {a}\nprotocol websockets\n")
    assert client.recv(1) == b""
    client.close()
    with b.connect("a") as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert s.recv(5) == b"HTTP/"


def test_local_only_mode_ends(broker):
    b = broker("user root\n", arguments=["-p", str(free_port())])
    reload(b, "user root\nlistener {a}\n")
    assert can_connect(b.port["a"])
    assert b.has_logged("Nothing says who may connect")


def test_options_are_taken_over(broker):
    b = broker("user root\nlistener {a}\nallow_anonymous true\n")
    say_hello(b.port["a"]).close()
    reload(b, "user root\nlistener {a}\nallow_anonymous true\nmax_keepalive 30\n")
    with b.connect("a") as s:  # asks for 60
        s.sendall(CONNECT)
        assert s.recv(4) == bytes.fromhex("20 02 00 02")
    reload(b, "user root\nlistener {a}\nallow_anonymous false\n")
    with b.connect("a") as s:
        s.sendall(CONNECT)
        assert s.recv(4) == bytes.fromhex("20 02 00 05")


def test_what_needs_a_restart_is_named(broker):
    b = broker("user root\nlistener {a}\n")
    reload(b, "user root\nlistener {a}\npid_file {dir}/pid\n")
    assert b.has_logged("The change of 'pid_file' takes effect at the next start")


def test_many_reloads_cost_nothing(broker):
    b = broker("user root\nlistener {a}\n")
    client = say_hello(b.port["a"])
    for _ in range(20):
        reload(b, "user root\nlistener {a}\nlistener {b}\nwebsockets_origin x\nclientid_prefixes t\n")
        reload(b, "user root\nlistener {a}\n")
    assert is_open(client)
    client.close()
