"""A data vendor with an API of its own, on loopback: what nobody wrote a provider for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.canary import KEY


class Directory(BaseHTTPRequestHandler):
    """A data vendor with an API of its own."""

    protocol_version = "HTTP/1.1"
    server: "Vendor"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, dict(self.headers)))
        if self.path.startswith("/api/v1/now"):
            self._tell_now(body)
        else:
            self._begin(body)

    def _begin(self, body: Any) -> None:
        site = body["query"]["site"]
        if site == "https://bad.com":
            self._answer(422, {"problem": {"kind": "NO_SUCH_SITE", "text": "bad.com is parked"}})
        elif site == "https://lost.com":
            self.close_connection = True
        elif site == "https://wait.com" and self.server.refuses_once():
            self._answer(429, {}, {"Retry-After": "0.2"})
        else:
            self.server.runs.append(body["query"])
            self._answer(202, {"data": {"id": 7000 + len(self.server.runs), "state": "queued"}})

    def _tell_now(self, body: Any) -> None:
        if "Bad" in body["name"]:
            self._answer(422, {"error": "no such company"})
        else:
            self._answer(200, {"people": len(body["name"]), "tags": ["a", "b"]})

    def do_GET(self) -> None:
        self.server.asked.append((self.path, None, dict(self.headers)))
        if self.path == "/api/v1/me":
            good = KEY in (self.headers["X-Token"], self.server.key)
            self._answer(200 if good else 401, {"me": "desk"})
            return
        number = int(self.path.rpartition("/")[2]) - 7001
        name = self.server.runs[number]["name"]
        result = {"people": len(name) * 10, "offices": [{"city": f"{name} City"}]}
        self._answer(200, {"data": {"state": "ready", "result": result}})

    def _answer(self, status: int, body: Any, headers: Any = ()) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


class Vendor(ThreadingHTTPServer):
    """What it was asked, and the runs that it took."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Directory)
        self.asked: list[tuple[str, Any, dict[str, str]]] = []
        self.runs: list[dict[str, str]] = []
        self.key = ""
        self._refused = False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def refuses_once(self) -> bool:
        before, self._refused = self._refused, True
        return not before


@contextmanager
def running_vendor() -> Iterator[Vendor]:
    with Vendor() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
