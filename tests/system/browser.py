"""A headless Chromium, driven by its own debugging protocol over two pipes:
each message is JSON and ends with a zero byte."""

import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading

from harness import PATIENCE

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-pipe"]


def find():
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, filter(None, names))), None)


class Browser:
    def __init__(self):
        self._home = tempfile.TemporaryDirectory(prefix="knut-browser-", ignore_cleanup_errors=True)
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        # It reads descriptor 3 and writes 4.
        self._log = open(os.path.join(self._home.name, "log"), "w+b")
        self.process = subprocess.Popen(
            ["bash", "-c", 'in=$1 out=$2; shift 2; exec "$@" 3<&"$in" 4>&"$out"', "browser",
             str(to_read), str(from_write), find(), *FLAGS,
             f"--user-data-dir={self._home.name}/data", "about:blank"],
            pass_fds=(to_read, from_write), stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=self._log, env={**os.environ, "HOME": self._home.name})
        os.close(to_read)
        os.close(from_write)
        self._rest = b""
        self._ids = itertools.count(1)
        self._watchdog = threading.Timer(6 * PATIENCE, self.process.kill)
        self._watchdog.start()

    def call(self, method, session=None, **parameters):
        """One command and its result; events in between are passed over."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self):
        while b"\0" not in self._rest:
            more = os.read(self._from, 65536)
            assert more, "the browser is gone\n" + self.log()
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def open(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self._watchdog.cancel()
        os.close(self._to)
        os.close(self._from)
        self._log.close()
        self._home.cleanup()


class Page:
    def __init__(self, browser, session):
        self.browser = browser
        self.session = session

    def evaluate(self, expression):
        answer = self.browser.call("Runtime.evaluate", self.session, expression=expression,
                                   returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self):
        """What a person would read."""
        return self.evaluate("document.body ? document.body.innerText : ''")
