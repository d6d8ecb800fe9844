"""The whole stand-in on a real socket, with the HTTP client that the product uses."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest

from enricher.simulator import Settings, outputs_for
from enricher.simulator.durations import Constant
from enricher.simulator.grids import COMPANIES
from enricher.simulator.server import RunningSimulator, running_simulator
from tests.simulator.driving import ACME

ROOT = Path(__file__).parents[2]
RUN = f"/grids/{COMPANIES.id}/run"
SHORT = 0.01
TOO_LONG = 3600


def client(simulator: RunningSimulator) -> httpx2.Client:
    headers = {"X-API-KEY": simulator.api_key}
    return httpx2.Client(base_url=simulator.base_url, headers=headers, timeout=30)


def test_every_endpoint_over_a_socket() -> None:
    settings = Settings(duration=Constant(SHORT), rate=None)
    with running_simulator(settings) as simulator, client(simulator) as http:
        assert http.get("/workspace").json()["plan"]["name"] == "Enterprise"
        assert http.get("/grids", params={"search": "company e"}).json()["total"] == 1
        assert http.get(f"/grids/{COMPANIES.id}").json()["id"] == COMPANIES.id
        contract = http.get(f"/grids/{COMPANIES.id}/curl").json()
        assert contract["run_url"] == simulator.base_url + RUN

        held = http.post(contract["run_url"], json={"inputs": ACME})
        assert held.json()["outputs"] == outputs_for(COMPANIES, ACME)
        started = http.post(RUN, json={"inputs": ACME, "mode": "async"})
        assert started.headers["X-RateLimit-Limit"] == "1000000"
        assert http.get(started.json()["poll_url"]).json()["mode"] == "async"

        rotated = http.post("/api-key/rotate").json()["api_key"]
        assert rotated == simulator.api_key
        assert http.get("/workspace").status_code == 401
        assert len(simulator.workspace.runs) == 2


def test_errors_over_a_socket() -> None:
    with running_simulator(Settings(rate=2)) as simulator, client(simulator) as http:
        assert http.post(RUN, content=b"{").json()["error"]["code"] == "MISSING_REQUIRED_FIELD"
        assert http.get("/nowhere").status_code == 404
        limited = http.get("/workspace")
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
        outside = http.get(simulator.base_url.removesuffix("/api/v1") + "/workspace")
        assert (outside.status_code, outside.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_it_listens_on_loopback_only_and_the_port_is_free_again() -> None:
    with running_simulator(Settings()) as simulator:
        assert simulator.base_url == f"http://127.0.0.1:{simulator.port}/api/v1"
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{simulator.port}"):
            RunningSimulator(Settings(), simulator.port)
    assert not [thread for thread in threading.enumerate() if thread.name == "simulator"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", simulator.port)) != 0
    RunningSimulator(Settings(), simulator.port).stop()


def test_a_port_that_does_not_exist() -> None:
    with pytest.raises(OSError, match="cannot listen"):
        RunningSimulator(Settings(), 70_000)


def test_a_client_that_goes_away_does_not_stop_its_run() -> None:
    settings = Settings(duration=Constant(TOO_LONG), rate=None)
    with running_simulator(settings) as simulator, client(simulator) as http:
        with socket.create_connection(("127.0.0.1", simulator.port)) as leaver:
            leaver.sendall(raw_run(simulator))
            ask_until_a_run_is_held(simulator, http)
        (run,) = simulator.workspace.runs
        assert http.get(f"/run/status/{run.request_id}").json()["status"] == "running"


def test_a_stop_does_not_wait_for_held_requests() -> None:
    settings = Settings(duration=Constant(TOO_LONG), rate=None)
    with (
        running_simulator(settings) as simulator,
        client(simulator) as http,
        socket.create_connection(("127.0.0.1", simulator.port), timeout=10) as waiter,
    ):
        waiter.sendall(raw_run(simulator))
        ask_until_a_run_is_held(simulator, http)
        simulator.stop()
        assert waiter.recv(1) == b"", "the connection ends without an answer"


def raw_run(simulator: RunningSimulator) -> bytes:
    body = json.dumps({"inputs": ACME}).encode()
    head = (
        f"POST /api/v1{RUN} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"X-API-KEY: {simulator.api_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask_until_a_run_is_held(simulator: RunningSimulator, http: httpx2.Client) -> None:
    while not simulator.workspace.runs:
        assert http.get("/workspace").status_code == 200


SERVE = """
from enricher.simulator import Settings
from enricher.simulator.server import serve
serve(Settings(), on_ready=lambda simulator: print(simulator.base_url, flush=True))
print("done")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_with_a_signal_and_says_nothing(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        assert httpx2.get(f"{base_url}/workspace").status_code == 401
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (0, "done\n", "")
