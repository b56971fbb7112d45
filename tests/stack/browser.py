"""Debian's Chromium without a screen, driven by the DevTools protocol over a pipe.

    with Browser(folder) as browser:
        page = browser.page("http://127.0.0.1:8321/", width=390, height=844, is_phone=True)
        page.wait_for("document.title")
        page.tap("button")

The packages, a Chinese font among them, are fetched once (debian.py). What the page complains about is in `complaints`.
"""

import base64
import fcntl
import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.stack.debian import unpacked

PACKAGES = ("chromium-headless-shell", "fonts-wqy-microhei")
DEADLINE_SECONDS = 60
_FONTS = "<fontconfig><dir>{root}/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir></fontconfig>"


class Browser:
    """A running Chromium with a profile of its own below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._root = folder, unpacked("chromium", PACKAGES)
        self._number, self._rest = 0, b""
        self._pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "fonts.conf").write_text(_FONTS.format(root=self._root, folder=self._folder))
        libraries = next((self._root / "usr/lib").glob("*-linux-gnu*"))
        places = (libraries, libraries / "pulseaudio", self._root / "lib" / libraries.name)
        variables = {"LD_LIBRARY_PATH": ":".join(map(str, places)), "FONTCONFIG_FILE": f"{self._folder}/fonts.conf"}
        reads, self._to = _high(os.pipe())
        self._from, writes = _high(os.pipe())
        command = [
            str(self._root / "usr/lib/chromium/chromium-headless-shell"),
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={self._folder}/profile",
        ]
        with (self._folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f'exec "$0" "$@" 3<&{reads} 4>&{writes}', *command],
                env=os.environ | variables,
                pass_fds=(reads, writes),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(reads)
        os.close(writes)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def page(self, url: str, width: int, height: int, is_phone: bool = False) -> "Page":
        """A new tab of its own session, of this size in CSS pixels."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if is_phone else 1, "mobile": is_phone}
        page.call("Emulation.setDeviceMetricsOverride", **metrics)
        page.call("Emulation.setTouchEmulationEnabled", enabled=is_phone)
        page.call("Page.navigate", url=url)
        return page

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """What a command of the protocol returns; RuntimeError where it is refused."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            if "sessionId" in answer:
                self._pages[answer["sessionId"]].note(answer["method"], answer["params"])
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise RuntimeError(f"chromium ended; see {self._folder}/chromium.log")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.complaints: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command about this tab."""
        return self._browser.call(method, self._session, **params)

    def note(self, event: str, params: Mapping[str, Any]) -> None:
        """Keep what went wrong in the page: exceptions, refused requests, what its policy forbids."""
        if event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        if event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, a promise's after it was kept."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Come back once an expression is true, or an element is there."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self.value(f"!!({expression})"):
            assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {expression}; {self.complaints}"
            self.value("new Promise(requestAnimationFrame)")

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def press(self, key: str) -> None:
        """A key, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def tap(self, selector: str) -> None:
        """A finger on the middle of an element."""
        place = self._middle(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[place])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def click(self, selector: str) -> None:
        """The mouse on the middle of an element."""
        place = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def screenshot(self, path: Path) -> None:
        """What is to be seen, as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _middle(self, selector: str) -> dict[str, float]:
        box = self.value(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()"
        )
        return {"x": box["x"], "y": box["y"]}


def _high(pair: tuple[int, int]) -> tuple[int, int]:
    """The ends of a pipe under numbers that 3 and 4, which Chromium talks through, do not overwrite."""
    moved = fcntl.fcntl(pair[0], fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(pair[1], fcntl.F_DUPFD_CLOEXEC, 10)
    for end in pair:
        os.close(end)
    return moved
