"""Drives the debug page in headless Chromium, through its DevTools protocol: drive_page.py URL CHROMIUM FOLDER.

Writes screenshots into the folder; exits with an error that says what is missing.
"""

import base64
import itertools
import json
import subprocess
import sys
import tempfile
import time

import websocket

url, chromium, folder = sys.argv[1:]


class Page:
    """A page in a browser of its own."""

    def __init__(self, scheme):
        self.profile = tempfile.TemporaryDirectory()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        arguments += ["--remote-allow-origins=*", f"--user-data-dir={self.profile.name}", "--window-size=1280,1700"]
        self.process = subprocess.Popen([chromium, *arguments, "about:blank"], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "DevTools listening on" in line:
                self.socket = websocket.create_connection(line.split()[-1], timeout=60)
                break
        self.ids = itertools.count(1)
        self.session = None
        self.errors = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log"]:
            self.call(f"{domain}.enable")
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def call(self, method, **parameters):
        number = next(self.ids)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("method") in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening"):
                self.errors.append(answer["params"])
            if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
                self.errors.append(answer["params"])
            if answer.get("id") == number:
                if "error" in answer:
                    raise SystemExit(f"page: {method}: {answer['error']}")
                return answer["result"]

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise SystemExit(f"page: {script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, script, what, seconds=30):
        end = time.time() + seconds
        while not self.run(script):
            if time.time() > end:
                raise SystemExit(f"page: {what} did not come; the page says: {self.run('document.body.innerText')}")
            time.sleep(0.1)

    def key(self, key, code, number):
        for kind in ["keyDown", "keyUp"]:
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, windowsVirtualKeyCode=number, **text)

    def shoot(self, name):
        self.run("scrollTo(0, 0)")
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        with open(f"{folder}/{name}.png", "wb") as file:
            file.write(base64.b64decode(image))

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()


def drive(scheme):
    page = Page(scheme)
    page.call("Page.navigate", url=url)
    page.until("document.querySelectorAll('#numbers dd').length >= 8", "the numbers")
    page.until("document.querySelectorAll('#groups tr').length >= 4", "the groups")
    page.until("document.querySelector('#load path')?.getAttribute('d').length > 10", "the load of the workers")
    # By keyboard: / goes to the search, Enter searches.
    page.key("/", "Slash", 191)
    assert page.run("document.activeElement.id") == "q", "page: / does not lead to the search"
    page.call("Input.insertText", text="<img")
    page.key("Enter", "Enter", 13)
    page.until("document.querySelectorAll('#results tr').length === 1", "the goroutine that is called by markup")
    assert page.run("document.querySelectorAll('#results img').length") == 0, "page: a name became markup"
    page.run("document.querySelector('#results button').click()")
    page.until("document.querySelectorAll('#detail .stack li').length > 0", "the stack")
    stack = page.run("document.querySelector('#detail').innerText")
    assert "wait_for_message" in stack and "live.rs:" in stack, f"page: this is no stack: {stack}"
    assert "<img src=x" in stack and page.run("document.querySelectorAll('#detail img').length") == 0
    # A group leads to its goroutines.
    page.run("document.querySelector('#groups button').click()")
    page.until("document.querySelectorAll('#results tr').length > 1", "the goroutines of a group")
    # The flame graph.
    page.run("document.getElementById('take').click()")
    page.until("document.querySelectorAll('#flame button').length > 3", "the flame graph")
    flame = page.run("[...document.querySelectorAll('#flame button')].map((b) => b.getAttribute('aria-label')).join('\\n')")
    assert "live::fractal" in flame and "live::count_primes" in flame, f"page: the flame graph shows: {flame}"
    page.run("[...document.querySelectorAll('#flame button')].find((b) => b.textContent.includes('live::fractal')).click()")
    page.until("!document.getElementById('whole').hidden", "the part of the flame graph")
    assert "live::count_primes" not in page.run("document.getElementById('flame').innerText")
    page.key("Escape", "Escape", 27)
    page.until("document.getElementById('whole').hidden", "the whole of the flame graph")
    wide = page.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert wide, "page: it must be scrolled sideways"
    page.shoot(scheme)
    assert not page.errors, f"page: errors in the console: {page.errors}"
    page.close()


for scheme in ["light", "dark"]:
    drive(scheme)
print(f"page: driven in light and in dark; screenshots in {folder}")
