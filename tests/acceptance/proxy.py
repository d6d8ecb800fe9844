"""A proxy before the simulator that loses answers, or gives others than the server's.

The server always works the request off: what it did can be counted there.
"""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Proxy:
    """Answers of submissions for a company whose name is in `lost` or `failing` go wrong.

    `changed` has, by the end of a path, what is made of an answer: other bytes, or `None`;
    `status` the HTTP status that goes with it. `refused` has statuses that go before the server's
    answers, which is not asked for them.
    """

    port: int
    server_port: int
    lost: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    tells_credits: bool = True
    changed: dict[str, Callable[[bytes], bytes | None]] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    refused: dict[str, list[int]] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {"BITSCALE_BASE_URL": f"http://127.0.0.1:{self.port}/api/v1"}

    def status_of(self, path: str, status: int) -> int:
        return _by_ending(self.status, path) or status

    def answer(self, method: str, path: str, body: bytes, answer: bytes) -> bytes | None:
        """What the client gets instead of `answer`; `None` for a connection that breaks."""
        if change := _by_ending(self.changed, path):
            return change(answer)
        if path.endswith("/workspace") and not self.tells_credits:
            return b'{"id": "ws-silent"}'
        name = json.loads(body)["inputs"]["company_name"] if method == "POST" and body else ""
        if name in self.lost:
            return None
        if name in self.failing:
            return b'{"status": "failed", "error": {"code": "RUN_FAILED", "message": "so it is"}}'
        return answer


def _by_ending(told: Mapping[str, T], path: str) -> T | None:
    whole = path.partition("?")[0]
    return next((value for ending, value in told.items() if whole.endswith(ending)), None)


@contextmanager
def proxy_before(server_port: int) -> Iterator[Proxy]:
    """A proxy on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if refusals := _by_ending(proxy.refused, self.path):
                self.say(refusals.pop(), b"{}")
                return
            server = http.client.HTTPConnection("127.0.0.1", server_port)
            server.request(self.command, self.path, body, dict(self.headers.items()))
            answer = server.getresponse()
            content = proxy.answer(self.command, self.path, body, answer.read())
            server.close()
            if content is None:
                self.close_connection = True
                return
            self.say(proxy.status_of(self.path, answer.status), content)

        def say(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # beyond the usual 5, connections break that nobody asked to break

    with Server(("127.0.0.1", 0), Handler) as http_server:
        http_server.daemon_threads = True
        http_server.block_on_close = False
        proxy = Proxy(http_server.server_port, server_port)
        threading.Thread(target=http_server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield proxy
        finally:
            http_server.shutdown()
