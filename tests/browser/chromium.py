"""Drives Debian's Chromium without a screen, by the DevTools protocol over a pair of pipes: one page, no downloads."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 30.0
NAMES = ("chromium", "chromium-browser")

# As root it needs no sandbox; the rest keeps it from calling home.
FLAGS = shlex.split("""
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe
""")


def find() -> str | None:
    """The program, if it is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends are neither 3 nor 4."""
    found = []
    for end in os.pipe():
        found.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20))
        os.close(end)
    return found[0], found[1]


class Chromium:
    """One browser with one page. `close` it."""

    def __init__(self, program: str, profile: Path) -> None:
        down, self._write = _high_pipe()
        self._read, up = _high_pipe()
        self._process = subprocess.Popen(
            # The browser reads from descriptor 3 and writes to 4; a shell puts them there.
            ["bash", "-c", f'exec 3<&{down} 4>&{up}; exec "$@"', "bash", program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(down, up),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down)
        os.close(up)
        self.events: list[dict[str, Any]] = []
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.page(f"{domain}.enable")

    def send(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Have something done; its result."""
        with self._news:
            self._number += 1
            number = self._number
        order = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(order).encode() + b"\0")
        with self._news:
            self._news.wait_for(lambda: number in self._answers or self._ended, 2 * PATIENCE)
            answer = self._answers.pop(number)
        assert "result" in answer, answer
        return answer["result"]

    def page(self, method: str, **params: Any) -> dict[str, Any]:
        """Have something done with the page."""
        return self.send(method, self._session, **params)

    def look(self, expression: str) -> Any:
        """The value of a JavaScript expression; of a promise, what it promised."""
        said = self.page("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait in the page, frame by frame, until this holds."""
        wait = (
            f"new Promise((done, fail) => {{ const end = Date.now() + {PATIENCE * 1000:.0f}; const look = () => "
            f"({condition}) ? done(true) : Date.now() > end ? fail(new Error('never')) : requestAnimationFrame(look); "
            "look(); })"
        )
        assert self.look(wait), condition

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Go there, with a window of this size."""
        self.page(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.page("Emulation.setEmulatedMedia", features=scheme)
        self.page("Page.navigate", url=url)

    def press(self, key: str) -> None:
        """One key, down and up."""
        text = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            self.page("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def picture(self) -> bytes:
        """The whole page as PNG."""
        size = self.page("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.page("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def wait_event(self, fits: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the browser has told of something like this."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(fits, self.events)), PATIENCE)

    def close(self) -> None:
        """End it."""
        os.close(self._write)  # it ends when nobody can talk to it any more
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        with os.fdopen(self._read, "rb") as pipe:
            waiting = b""
            while data := pipe.read1(65536):
                *messages, waiting = (waiting + data).split(b"\0")
                with self._news:
                    for message in map(json.loads, messages):
                        if "id" in message:
                            self._answers[message["id"]] = message
                        else:
                            self.events.append(message)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
