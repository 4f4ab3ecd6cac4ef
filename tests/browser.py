"""A headless Chromium, by its DevTools protocol."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
import urllib.request

import pytest

_SECONDS = 60


def needs_browser():
    """Skips a test where there is none."""
    websocket = pytest.importorskip("websocket")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    return websocket, program


class Page:
    """A page in a browser, and what it has asked for and complained of."""

    def __init__(self, connection):
        self._connection = connection
        self._count = 0
        self.requests, self.complaints, self.kinds = [], [], {}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Calls a method of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            found = json.loads(self._connection.recv())
            self._note(found)
            if found.get("id") == self._count:
                assert "error" not in found, (method, found["error"])
                return found["result"]

    def _note(self, message):
        name, found = message.get("method"), message.get("params", {})
        if name == "Network.requestWillBeSent":
            url = found["request"]["url"]
            # What lies in the page itself is asked of nobody.
            if not url.startswith(("data:", "blob:")):
                self.requests.append(url)
                self.kinds[url] = found["type"]
        elif name == "Runtime.exceptionThrown":
            self.complaints.append(str(found["exceptionDetails"]))
        elif name == "Log.entryAdded" and found["entry"]["level"] == "error":
            self.complaints.append(found["entry"]["text"])
        elif name == "Runtime.consoleAPICalled" and found["type"] == "error":
            self.complaints.append(str(found["args"]))

    def open(self, url, width=1280, height=1000, mobile=False):
        """Loads a page, and returns the seconds that it took."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        began = time.monotonic()
        self.call("Page.navigate", url=url)
        while self.run("document.readyState") != "complete":
            assert time.monotonic() < began + _SECONDS, url
            time.sleep(0.02)
        return time.monotonic() - began

    def run(self, script):
        """The value of an expression; of a promise, what it is resolved with."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def key(self, name):
        """Presses a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def screenshot(self, file):
        """Writes all of the page to a PNG file."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def page(folder):
    """Opens a browser with its files in a folder, and no network but this machine."""
    websocket, program = needs_browser()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    options += [
        "--remote-allow-origins=*",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={folder}", "about:blank"],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        port = folder / "DevToolsActivePort"
        end = time.monotonic() + _SECONDS
        while not (port.exists() and "\n" in port.read_text()):
            assert time.monotonic() < end and process.poll() is None, "no browser"
            time.sleep(0.05)
        number = port.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/json") as answer:
            (target,) = [t for t in json.load(answer) if t["type"] == "page"]
        connection = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=_SECONDS)
        with contextlib.closing(connection):
            yield Page(connection)
    finally:
        process.terminate()
        process.wait()
