"""Sensor, broker, browser: what knut is for. A real Chromium shows the page of
README.md, which reads temperatures by WebSocket; mosquitto_pub is the sensor."""

import functools
import http.client
import http.server
import re
import shutil
import threading

import pytest

import browser as chromium
from harness import HOME, PATIENCE, mosquitto_pub, needs, until

MQTT_JS = HOME / "tests/system/node/node_modules/mqtt/dist/mqtt.min.js"

pytestmark = [
    needs("mosquitto_pub", "bash"),
    pytest.mark.skipif(not chromium.find(), reason="no Chromium (scripts/setup --test)"),
    pytest.mark.skipif(not MQTT_JS.is_file(), reason="MQTT.js is not installed (scripts/setup --test)"),
]

# The shape of etc/conf.d/websocket.conf, with ports that are free.
SEED = """
    listener {mqtt}
    protocol mqtt

    listener {ws}
    protocol websockets
    """


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(tmp_path):
    """A web server for the files of a directory: (directory, address)."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def browser():
    b = chromium.Browser()
    yield b
    b.close()


def readme_page(port):
    """The page of the README, for another port than 9001."""
    pages = re.findall(r"```html\n(.*?)```", (HOME / "README.md").read_text(), re.DOTALL)
    assert len(pages) == 1
    assert pages[0].count(":9001") == 1
    return pages[0].replace(":9001", f":{port}")


def test_the_shape_is_that_of_the_shipped_file():
    shipped = (HOME / "etc/conf.d/websocket.conf").read_text().split("\n")
    expected = ["listener 1883", "protocol mqtt", "", "listener 9001", "protocol websockets"]
    assert [line for line in shipped if not line.startswith("#")][:5] == expected


def test_temperatures_of_a_sensor_are_shown_in_a_browser(broker, browser, web):
    b = broker(SEED)
    folder, address = web
    (folder / "temperatures.html").write_text(readme_page(b.port["ws"]))
    shutil.copy(MQTT_JS, folder / "mqtt.min.js")
    mosquitto_pub(b, "-r", "-t", "home/cellar/temperature", "-m", "12.0")

    page = browser.open(f"{address}/temperatures.html")
    # The retained value shows that the page is connected and subscribed.
    until(lambda: "cellar: 12.0 °C" in page.text(), "the retained temperature is shown")

    for kitchen, bath in (("19.5", "23.0"), ("20.0", "23.5"), ("21.5", "24.0")):
        mosquitto_pub(b, "-t", "home/kitchen/temperature", "-m", kitchen)
        mosquitto_pub(b, "-q", 1, "-t", "home/bath/temperature", "-m", bath)
        until(lambda: f"kitchen: {kitchen} °C" in page.text() and f"bath: {bath} °C" in page.text(),
              "the new temperatures are shown")
    lines = page.evaluate("[...document.querySelectorAll('#rooms li')].map(line => line.innerText)")
    assert sorted(lines) == ["bath: 24.0 °C", "cellar: 12.0 °C", "kitchen: 21.5 °C"]


def test_the_websocket_port_shows_a_page_to_a_browser(broker, browser):
    """Somebody types the address of the port: it says what the port is for."""
    b = broker(SEED)
    page = browser.open(f"http://127.0.0.1:{b.port['ws']}/")
    until(lambda: "websocket" in page.text().lower(), "a page that says what this port is for")
    assert "mqtt" in page.text().lower()


def test_the_page_is_plain_http(broker):
    b = broker(SEED)
    connection = http.client.HTTPConnection("127.0.0.1", b.port["ws"], timeout=PATIENCE)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"WebSocket" in answer.read()
    connection.close()
