"""A browser without a window, which tests read pages with: Chromium, asked over its DevTools port."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import urlopen

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 60


def missing(what: str) -> NoReturn:
    """Skip a test on a laptop that lacks something; where tests must count, fail."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


class Browser:
    """One page of a browser."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_SECONDS))
            if answer.get("id") == number:
                assert "result" in answer, answer
                return dict(answer["result"])

    def run(self, script: str) -> Any:
        """Return what a script in the page returns."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def click(self, words: str) -> None:
        """Follow the link, or turn to the tab, that is called so on the page that is open."""
        found = f"[...document.querySelectorAll('a, .p-tab')].find(each => each.innerText.trim() === '{words}')"
        self.run(f"{found}.click()")

    def shows(self, *wanted: str) -> str:
        """Return the page's text, one line, as soon as all that is wanted stands on it: scripts fill it bit by bit."""
        deadline = time.monotonic() + _SECONDS
        while True:
            text = " ".join(str(self.run("document.body ? document.body.innerText : ''")).split())
            lacking = [each for each in wanted if each not in text]
            if not lacking:
                return text
            assert time.monotonic() < deadline, f"{lacking} not in: {text}"
            time.sleep(0.1)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser that keeps its files in `profile`; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        missing("there is no browser: apt-get install chromium")
    process = subprocess.Popen(
        [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000",
            "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        from websockets.sync.client import connect

        with connect(_page_of(process, profile), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _page_of(process: subprocess.Popen[bytes], profile: Path) -> str:
    """Return the address of the browser's first page, once it is there."""
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _SECONDS
    while not (told.exists() and "\n" in told.read_text()):
        assert process.poll() is None, f"the browser ended with exit code {process.returncode}"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    port = told.read_text().splitlines()[0]
    with urlopen(f"http://127.0.0.1:{port}/json", timeout=_SECONDS) as answer:
        pages = [page for page in json.load(answer) if page["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])
