"""Headless Chromium over its debugging pipe: no driver, no package."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def program():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise SystemExit("page_test: no Chromium here; scripts/setup --dev installs it")


class Chromium:
    """One browser with one page. Use it as a context manager."""

    def __init__(self, width=1100, height=800):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self.out = os.pipe()
        self.inn, answers = os.pipe()

        def arrange():  # the browser reads from descriptor 3 and writes to 4
            high = os.dup2(commands, 100), os.dup2(answers, 101)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run",
             "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", "--hide-scrollbars", "--force-prefers-reduced-motion",
             f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=arrange, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.numbers = itertools.count(1)
        self.buffer = b""
        self.answers = {}
        self.events = []
        self.on_paused = None
        target = next(t for t in self.browser("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.browser("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.inn)
        self.profile.cleanup()

    def browser(self, method, **params):
        return self._ask({"method": method, "params": params})

    def call(self, method, **params):
        return self._ask({"method": method, "params": params, "sessionId": self.session})

    def _ask(self, message):
        message["id"] = number = next(self.numbers)
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while number not in self.answers:
            self._take(self._next(until - time.monotonic()))
        answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{message['method']}: {answer['error']}")
        return answer.get("result", {})

    def _take(self, message):
        """An answer is kept for whoever asked: while a paused request is fulfilled, the answer to
        the call that was waiting may come first."""
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self._note(message)

    def _note(self, event):
        if event.get("method") == "Fetch.requestPaused" and self.on_paused:
            self.on_paused(event["params"])
        else:
            self.events.append(event)

    def _next(self, seconds):
        while b"\0" not in self.buffer:
            if not select.select([self.inn], [], [], max(0, seconds))[0]:
                raise TimeoutError("Chromium gives no answer")
            piece = os.read(self.inn, 1 << 16)
            if not piece:
                raise RuntimeError("Chromium has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", script))
        return result["result"].get("value")

    def wait(self, condition, seconds=15):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.run(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"never came true: {condition}")

    KEYS = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35, "Escape": 27}

    def press(self, key, shift=False):
        event = {"key": key, "code": key, "windowsVirtualKeyCode": self.KEYS[key], "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def fulfil(self, paused, body, content_type):
        self.call("Fetch.fulfillRequest", requestId=paused["requestId"], responseCode=200,
                  responseHeaders=[{"name": "Content-Type", "value": content_type}],
                  body=base64.b64encode(body.encode()).decode())

    def complaints(self):
        """Errors that the page caused: exceptions, failed loads, policy violations."""
        out = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                out.append(event["params"]["exceptionDetails"]["text"])
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                out.append(event["params"]["entry"]["text"])
        return out

    def requested(self):
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
