"""MQTT.js in Node, over TCP and WebSocket. The scenarios are in node/scenario.js."""

import subprocess

import pytest

from harness import HOME, PATIENCE, needs

NODE = HOME / "tests/system/node"

pytestmark = [needs("node"), pytest.mark.skipif(
    not (NODE / "node_modules/mqtt").is_dir(), reason="MQTT.js is not installed (scripts/setup --test)")]


def run(b, name, scheme, version):
    url = f"{scheme}://127.0.0.1:{b.port['ws' if scheme == 'ws' else 'mqtt']}"
    try:
        done = subprocess.run(["node", str(NODE / "scenario.js"), name, url, version],
                              capture_output=True, text=True, timeout=2 * PATIENCE)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"no end: {late.stdout}{late.stderr}\n{b.tail()}") from None
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{b.tail()}"


@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
@pytest.mark.parametrize("version", ["3", "4", "5"])
@pytest.mark.parametrize("name", ["messages", "large", "retained", "will", "durable", "crowd"])
def test_scenario(broker, name, scheme, version):
    run(broker(), name, scheme, version)


@pytest.mark.parametrize("scheme", ["mqtt", "ws"])
def test_properties(broker, scheme):
    run(broker(), "properties", scheme, "5")
