"""A real browser: Chromium of the system's packages, driven over the WebDriver protocol."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium here (apt-get install chromium chromium-driver)",
)

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)


class Browser:
    """One window. Everything that it complains of is kept by it until `complaints` asks."""

    def __init__(self, http: httpx2.Client, profile: Path) -> None:
        options = {
            "binary": CHROMIUM,
            "args": [*_FLAGS, f"--user-data-dir={profile}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._http = http
        answer = http.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer.json()['value']['sessionId']}"

    def close(self) -> None:
        self._http.delete(self._session)

    def show(self, address: str) -> None:
        """Load a page."""
        self._do("url", url=address)

    def resize(self, width: int, height: int) -> None:
        """Give the page, not the window, these pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.tell("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str, media: str = "screen") -> None:
        """`light` or `dark`; on paper with `print`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def run(self, script: str) -> Any:
        """What a script gives that a test puts into the page."""
        return self._do("execute/sync", script=script, args=[])

    def text(self) -> str:
        """What a person can read."""
        told: str = self.run("return document.body.innerText")
        return told

    def overflow(self) -> int:
        """Pixels of the page that stand out to the right."""
        wide: int = self.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    def complaints(self) -> list[str]:
        """What the browser has written to its console: errors, violations of the policy."""
        return [entry["message"] for entry in self._do("se/log", type="browser")]

    def picture(self, path: Path) -> Path:
        """A screenshot."""
        answer = self._http.get(f"{self._session}/screenshot").json()
        path.write_bytes(base64.b64decode(answer["value"]))
        return path

    def tell(self, command: str, parameters: dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self._do("goog/cdp/execute", cmd=command, params=parameters)

    def _do(self, command: str, **parameters: Any) -> Any:
        answer = self._http.post(f"{self._session}/{command}", json=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile, for the length of a block."""
    assert DRIVER
    driver = subprocess.Popen(
        [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        with httpx2.Client(base_url=_address(driver), timeout=60, trust_env=False) as http:
            browser = Browser(http, profile)
            yield browser
            browser.close()
    finally:
        driver.terminate()
        driver.communicate()


def _address(driver: "subprocess.Popen[str]") -> str:
    """Where the driver listens: it says so once it is up."""
    assert driver.stdout
    for line in driver.stdout:
        if "started successfully on port" in line:
            port = line.rpartition("port ")[2].strip(" .\n")
            return f"http://127.0.0.1:{port}"
    raise AssertionError("the driver did not start")
