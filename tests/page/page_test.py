"""The page at / in headless Chromium.

    page_test.py SERVER [--shots DIR]

SERVER is tests/fake_server, or bundle-server or `bundle serve` with arguments (then the answers are a
model's own). --shots writes screenshots into DIR.
"""

import json
import os
import re
import subprocess
import sys
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
from chromium import Chromium  # noqa: E402

COMMAND = []
SHOTS = None


class Server:
    """A server that says where it is, on standard output or error."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        for line in self.process.stdout:
            found = re.search(r"(?:^|ready )(http://\S+:\d+)\s*$", line)
            if found:
                self.url = found.group(1)
                break
        else:
            raise RuntimeError("the server ended")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def close(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(COMMAND)

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def setUp(self):
        self.page = Chromium()
        self.page.open(self.server.url + "/")
        self.page.wait("document.title.endsWith('bundle') && document.title.length > 9")

    def tearDown(self):
        self.page.__exit__()

    def ask(self, text):
        self.page.run("document.getElementById('prompt').focus()")
        self.page.type(text)
        self.page.press("Enter")

    def answered(self, seconds=60):
        self.page.wait("document.querySelector('.message.assistant .figures')?.textContent.includes('out')", seconds)

    def shot(self, name):
        if SHOTS:
            self.page.screenshot(os.path.join(SHOTS, f"page-{name}.png"))

    def test_chat_streams_an_answer(self):
        self.ask("What is the capital of France?")
        self.page.wait("document.querySelectorAll('.message').length === 2")
        self.answered()
        text = self.page.run("document.querySelector('.message.assistant .body').textContent")
        self.assertGreater(len(text), 3)
        figures = self.page.run("document.querySelector('.message.assistant .figures').textContent")
        self.assertRegex(figures, r"first token after [\d.]+ s")
        self.assertEqual(text.strip(), self.page.run("document.getElementById('announcer').textContent").strip(),
                         "a screen reader hears the whole answer once")
        self.page.scheme("light")
        self.shot("chat-light")
        self.page.scheme("dark")
        self.shot("chat-dark")

    def test_reasoning_is_folded_and_markdown_is_shown(self):
        chunks = [{"reasoning_content": "First I think. "}, {"reasoning_content": "Then I know."},
                  {"content": "# Answer\n\nIt is **bold** and `code`:\n\n```python\nprint(1)\n```\n\n"
                              "- one\n- two\n  1. deep\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
                              "[good](https://example.org) [bad](javascript:alert(1)) <img src=x onerror=alert(2)>"}]
        events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in chunks]
        events.append({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}})
        stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self.page.on_paused = lambda paused: self.page.fulfil(paused, stream, "text/event-stream")
        self.page.call("Fetch.enable", patterns=[{"urlPattern": "*/v1/chat/completions"}])
        self.ask("Show me")
        self.answered()
        get = self.page.run
        answer = "document.querySelector('.message.assistant')."
        self.assertFalse(get(answer + "querySelector('details').open"))
        self.assertIn("Then I know.", get(answer + "querySelector('details').textContent"))
        body = answer + "querySelector('.body')."
        self.assertEqual(get(body + "querySelector('h3').textContent"), "Answer")
        self.assertEqual(get(body + "querySelector('strong').textContent"), "bold")
        self.assertEqual(get(body + "querySelector('pre code').textContent"), "print(1)")
        self.assertEqual(get(body + "querySelector('li li').textContent"), "deep")
        self.assertEqual(get(body + "querySelectorAll('td').length"), 2)
        self.assertEqual(get(body + "querySelectorAll('a').length"), 1, "only http and mailto become links")
        self.assertEqual(get(body + "querySelectorAll('img').length"), 0, "markup of the model's stays text")
        self.page.scheme("dark")
        get(answer + "querySelector('details').open = true")
        self.shot("reasoning-dark")

    def test_an_answer_can_be_stopped_and_asked_again(self):
        self.ask("Go on")
        self.page.wait("document.querySelector('.message.assistant .body')?.textContent.length > 0")
        self.page.press("Escape")  # a model of its own accord may go on for long
        self.page.wait("document.getElementById('again').disabled === false")
        self.page.run("document.getElementById('again').click()")
        self.page.wait("document.getElementById('stop').hidden === false || "
                       "document.querySelectorAll('.message.assistant').length === 1")
        self.page.press("Escape")
        self.page.wait("document.getElementById('send').hidden === false")
        self.assertEqual(self.page.run("document.querySelectorAll('.message.user').length"), 1)
        self.page.run("document.getElementById('fresh').click()")
        self.page.wait("document.querySelectorAll('.message').length === 0")

    def test_the_keyboard_reaches_everything(self):
        self.page.press("Tab")
        self.assertEqual(self.page.run("document.activeElement.className"), "skip")
        self.page.press("Tab")
        self.assertEqual(self.page.run("document.activeElement.id"), "tab-chat")
        self.page.press("ArrowRight")
        self.assertEqual(self.page.run("document.activeElement.id"), "tab-dashboard")
        self.assertFalse(self.page.run("document.getElementById('view-dashboard').hidden"))
        self.assertTrue(self.page.run("document.getElementById('view-chat').hidden"))
        self.page.press("End")
        self.assertFalse(self.page.run("document.getElementById('view-card').hidden"))
        self.page.press("ArrowRight")
        self.assertEqual(self.page.run("document.activeElement.id"), "tab-chat")

    def test_every_control_has_a_name(self):
        for view in ("chat", "dashboard", "card"):
            self.page.run(f"document.getElementById('tab-{view}').click()")
            nodes = self.page.call("Accessibility.getFullAXTree")["nodes"]
            controls = [n for n in nodes if not n.get("ignored") and n["role"]["value"] in
                        ("button", "tab", "textbox", "spinbutton", "checkbox", "link", "image", "dialog")]
            self.assertGreater(len(controls), 5)
            for node in controls:
                self.assertTrue(node.get("name", {}).get("value"), f"{view}: {node['role']['value']} without a name")

    def test_the_colours_can_be_told_apart(self):
        """WCAG 2 AA: text has a contrast of 4.5 to what is behind it, in both themes."""
        for scheme in ("light", "dark"):
            self.page.scheme(scheme)
            for text, back in (("--text", "--back"), ("--quiet", "--back"), ("--quiet", "--panel"), ("--text", "--panel"),
                               ("--bad", "--back"), ("--on-main", "--main"), ("--main", "--back")):
                self.assertGreaterEqual(self.contrast(text, back), 4.5, f"{scheme}: {text} on {back}")

    def contrast(self, one, other):
        def luminance(name):
            value = self.page.run(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
            parts = [int(value[i:i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    def test_the_dashboard_draws_what_happens(self):
        self.page.run("document.getElementById('tab-dashboard').click()")
        self.page.wait("document.querySelectorAll('#charts figure').length === 6")
        self.page.wait("document.querySelector('#charts path.one').getAttribute('d')?.length > 0")
        body = json.dumps({"model": self.page.run("document.getElementById('model-name').textContent"),
                           "messages": [{"role": "user", "content": "Count to a hundred"}], "max_tokens": 120}).encode()
        load = [threading.Thread(target=self.post, args=(body,)) for _ in range(4)]
        for thread in load:
            thread.start()
        self.page.wait("/^[1-9]/.test(document.querySelector('#charts dd').textContent)", 30)
        for thread in load:
            thread.join()
        self.assertRegex(self.page.run("document.getElementById('advice').textContent"), r"^\d+ replicas? (is|are) called for")
        self.assertRegex(self.page.run("document.querySelector('#charts svg title').textContent"), "Throughput.*output")
        if SHOTS:
            self.page.wait("document.querySelector('#charts path.one').getAttribute('d').length > 120", 60)
        self.page.scheme("light")
        self.shot("dashboard-light")

    def post(self, body):
        for _ in range(3):
            request = urllib.request.Request(self.server.url + "/v1/chat/completions", body,
                                             {"Content-Type": "application/json"})
            urllib.request.urlopen(request).read()

    def test_the_card_shows_digest_and_capabilities(self):
        self.page.run("document.getElementById('tab-card').click()")
        self.page.wait("document.querySelectorAll('#card tr').length > 8")
        text = self.page.run("document.getElementById('card').textContent")
        self.assertIn("content digest", text)
        self.assertIn("max logprobs", text)
        self.page.scheme("dark")
        self.shot("card-dark")

    def test_nothing_comes_from_elsewhere_and_nothing_fails(self):
        self.page.wait("document.querySelectorAll('#card tr').length > 8")
        self.ask("Hi")
        self.answered()
        self.page.run("1")
        for url in self.page.requested():
            self.assertTrue(url.startswith(self.server.url) or url.startswith("data:"), url)
        self.assertEqual(self.page.complaints(), [])

    def test_a_small_screen_needs_no_sideways_scrolling(self):
        self.page.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=True)
        for view in ("chat", "dashboard", "card"):
            self.page.run(f"document.getElementById('tab-{view}').click()")
            self.assertLessEqual(self.page.run("document.documentElement.scrollWidth"), 360, view)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "--shots" in arguments:
        at = arguments.index("--shots")
        SHOTS = arguments[at + 1]
        os.makedirs(SHOTS, exist_ok=True)
        arguments[at:at + 2] = []
    COMMAND = arguments
    unittest.main(argv=sys.argv[:1], verbosity=2)
