"""A browser for tests, with the standard library alone: Chromium's DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 20.0

_AS_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3]]
for number, end in zip((3, 4), ends):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and writes answers to 4. A shell cannot move descriptors above 9 there."""


def browser_binary(environment: Mapping[str, str]) -> str | None:
    """The browser that IOTPIPE_BROWSER names, or the first on the PATH."""
    named = environment.get("IOTPIPE_BROWSER")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A headless browser without a network but loopback; `hosts` are names that it takes for 127.0.0.1."""

    def __init__(self, binary: str, home: Path, hosts: tuple[str, ...] = ()) -> None:
        self._ids = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []
        their_input, self._output = os.pipe()
        self._input, their_output = os.pipe()
        rules = ", ".join((*(f"MAP {host} 127.0.0.1" for host in hosts), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"))
        options = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--host-resolver-rules={rules}",
            f"--user-data-dir={home}",
            # Chromium's sandbox refuses to run as root, as in containers.
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        program = [sys.executable, "-ISc", _AS_3_AND_4, str(their_input), str(their_output)]
        self.process = subprocess.Popen(
            [*program, binary, *options, "about:blank"],
            pass_fds=(their_input, their_output),
            env={**os.environ, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_input)
        os.close(their_output)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Call a method of the protocol and wait for its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._output, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._input], [], [], PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._input, 1 << 20)
            if not chunk:
                raise ConnectionError("the browser has ended")
            self._unread += chunk
        one, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(one)
        return found

    @contextmanager
    def page(self, width: int = 1440, height: int = 900, **features: str) -> Iterator[Page]:
        """A new page of its own, without the storage of others. `features` are CSS media features."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        page.call("Emulation.setEmulatedMedia", features=named)
        try:
            yield page
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def close(self) -> None:
        """End the browser."""
        try:
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self._output)
        os.close(self._input)


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **parameters: Any) -> Any:
        return self._browser.call(method, self._session, **parameters)

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def value(self, script: str) -> Any:
        """The value of an expression, also of a promise."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if failure := done.get("exceptionDetails"):
            raise RuntimeError(failure.get("exception", {}).get("description", failure["text"]))
        return done["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true, and return its value."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if found := self.value(script):
                    return found
            except RuntimeError:
                pass  # what it looks at is not there yet
            time.sleep(0.02)
        raise AssertionError(f"never true: {script}\n{self.value('document.body.innerText')}\n{self.problems()}")

    def text(self, selector: str = "body") -> str:
        found: str = self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def shows(self, text: str, selector: str = "body") -> None:
        """Wait until a part of the page shows a text."""
        self.until(f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(text)})")

    def click(self, selector: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def mouse(self, kind: str, x: float, y: float, clicks: int = 1) -> None:
        buttons = 0 if kind == "mouseMoved" else 1
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=clicks)

    def problems(self) -> list[str]:
        """What the console says: errors of scripts and what the policies of the page refused."""
        self.value("1")
        own = [event for event in self._browser.events if event.get("sessionId") == self._session]
        thrown = [str(each["params"]) for each in own if each["method"] == "Runtime.exceptionThrown"]
        logged = [each["params"]["entry"]["text"] for each in own if each["method"] == "Log.entryAdded"]
        return thrown + logged

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(binary: str, hosts: tuple[str, ...] = ()) -> Iterator[Browser]:
    """A browser with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as home:
        running = Browser(binary, Path(home), hosts)
        try:
            yield running
        finally:
            running.close()
