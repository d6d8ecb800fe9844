"""What a row, a run in flight and a raised limit cost.

    python -m benchmarks.engine                     all three, about five minutes
    python -m benchmarks.engine --only limit --rows 40_000

Each measurement runs in a process of its own against the built-in simulator in another one, whose
runs take a second; two cores are needed. CPU is user and system time of the client's process, less
what its imports took, which is told apart: about 0.7 s, the time of several hundred rows.

"rows": a whole job, from the CSV file to the CSV file, with its checkpoint, beside `plain.py`, a
script of 60 lines with the same HTTP client and nothing that keeps what is paid for. Both have
1,000 runs in flight. The plain script is measured twice: with room for as many connections, and
with the client's default pool of 100. The least of `--repeat` runs counts, since noise only adds.

"memory": what `tracemalloc` sees of 1,000 runs in flight above 10: the engine, its schedule and
gate, the group commit and the tally of rows. Not in it: connections and requests under way (a run
has none while it is waited for), the checkpoint's file, and the 1,000 items that are read ahead
whatever is in flight.

"limit": a job with `--rate 500` against a server that allows 500 requests/s in any second and
answers after 200 ms, as the server counted them; without the first two seconds and the last four,
in which there is not enough left to do. In the third second 1,000 runs are in flight, and none is
old enough to be looked at: that second counts, so a short list uses less of the limit.
"""

import argparse
import asyncio
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import server

_IN_FLIGHT = 1000
_ROWS, _ROWS_AT_THE_LIMIT = 5000, 20_000
_LIMIT = 500
_LATENCY = 0.2

Figures = Mapping[str, float]


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=_PARTS, help="one of the measurements")
    parser.add_argument("--rows", type=int, help="of the input of each job")
    parser.add_argument("--repeat", type=int, default=2, help="of the measurement of rows")
    parser.add_argument("--client", choices=_CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--given", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(_CLIENTS[options.client](**options.given)))
        return
    print(f"{'what':52}{'figure':>10}{'goal':>10}")
    for name, part in _PARTS.items():
        if options.only in (None, name):
            part(options)


def _told(what: str, figure: float, digits: int = 0, goal: str = "") -> None:
    print(f"{what:52}{figure:10,.{digits}f}{goal:>10}", flush=True)


# --- the three measurements -------------------------------------------------------------------


def _rows(options: argparse.Namespace) -> None:
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "enricher": ("enricher", {"rate": "unlimited"}),
        "plain script, 1,000 connections": ("plain", {"connections": _IN_FLIGHT}),
        "plain script, 100 connections": ("plain", {"connections": 100}),
    }
    rows = options.rows or _ROWS
    best: dict[str, Figures] = {}
    for _ in range(options.repeat):
        for name, (client, given) in kinds.items():
            with server.running() as simulator:
                found = _measured(client, rows, simulator.address, **given)
            best[name] = min(best.get(name, found), found, key=lambda figures: figures["cpu"])
    speeds = {name: rows / figures["cpu"] for name, figures in best.items()}
    for name, figures in best.items():
        _told(f"rows per CPU second: {name}", speeds[name])
        _told("  ms of CPU a request", 1000 * figures["cpu"] / figures["requests"], 2)
        _told("  requests a row", figures["requests"] / rows, 2)
        _told("  seconds of CPU for imports, not in it", figures["imports"], 2)
    for name in list(kinds)[1:]:
        _told(f"enricher / {name}", speeds["enricher"] / speeds[name], 2, "≥ 1.0")


def _memory(_: argparse.Namespace) -> None:
    few, many = 10, _IN_FLIGHT
    used = {n: _apart("memory", {"in_flight": n})["bytes"] for n in (few, many)}
    _told("bytes for each run in flight", (used[many] - used[few]) / (many - few), 0, "≤ 2,048")


def _limit(options: argparse.Namespace) -> None:
    rows = options.rows or _ROWS_AT_THE_LIMIT
    with server.running(rate=str(_LIMIT), latency=_LATENCY) as simulator:
        found = _measured("enricher", rows, simulator.address, rate=str(_LIMIT))
    steady = simulator.seen["accepted"][2:-4]
    if not steady:
        raise SystemExit(f"{rows} rows are too few for a limit of {_LIMIT}: name more")
    rate = sum(steady) / len(steady)
    _told(f"requests/s with a limit of {_LIMIT} and {_LATENCY * 1000:g} ms", rate, 1)
    _told(f"  / {_LIMIT}", rate / _LIMIT, 3, "≥ 0.95")
    _told(f"  over so many seconds, of {found['seconds']:.0f}", len(steady))
    _told("  answered 429", simulator.seen["rate_limited"])
    _told("  ms of CPU a request", 1000 * found["cpu"] / found["requests"], 2)
    _told("  of a core, at that rate", found["cpu"] / found["requests"] * rate, 2)


_PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "rows": _rows,
    "memory": _memory,
    "limit": _limit,
}


# --- in a process of its own ------------------------------------------------------------------


def _measured(client: str, rows: int, address: Mapping[str, str], **given: Any) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        make_table(Path(folder) / "in.csv", rows)
        return _apart(client, {"folder": folder, "address": address, **given})


def _apart(client: str, given: Mapping[str, Any]) -> Figures:
    command = [sys.executable, "-m", "benchmarks.engine", "--client", client]
    command += ["--given", json.dumps(given)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 — this very file
    figures: Figures = json.loads(done.stdout)
    return figures


def make_table(path: Path, rows: int) -> None:
    """A list of so many companies."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Company Name", "Website", "Country", "Note"])
        for number in range(rows):
            site = f"https://acme{number}.example.com"
            writer.writerow([f"Acme Corp {number}", site, "US", "some longer text here"])


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _enricher(folder: str, address: Mapping[str, str], rate: str) -> Figures:
    from enricher import api

    imports, began = _cpu(), time.monotonic()
    environ = {"BITSCALE_API_KEY": address["api_key"]}
    job = api.job_of(
        {
            "input": Path(folder) / "in.csv",
            "grid": address["grid"],
            "base_url": address["base_url"],
            "rate": rate,
        },
        environ,
    )
    summary = api.run(job, environ=environ)
    if summary.exit_code != 0:
        raise SystemExit(f"the job ended with {summary.exit_code}: {summary.rows}")
    return {
        "imports": imports,
        "cpu": _cpu() - imports,
        "requests": summary.requests.total,
        "seconds": time.monotonic() - began,
    }


def _plain(folder: str, address: Mapping[str, str], connections: int) -> Figures:
    import httpx2

    from benchmarks.plain import enrich

    imports, began = _cpu(), time.monotonic()
    limits = httpx2.Limits(max_connections=connections)
    source, target = Path(folder) / "in.csv", Path(folder) / "out.csv"
    requests = asyncio.run(enrich(source, target, address, _IN_FLIGHT, limits))
    return {
        "imports": imports,
        "cpu": _cpu() - imports,
        "requests": requests,
        "seconds": time.monotonic() - began,
    }


def _memory_of(in_flight: int) -> Figures:
    from benchmarks.flight import bytes_in_use

    return {"bytes": asyncio.run(bytes_in_use(in_flight))}


_CLIENTS: Mapping[str, Callable[..., Figures]] = {
    "enricher": _enricher,
    "plain": _plain,
    "memory": _memory_of,
}

if __name__ == "__main__":
    main()
