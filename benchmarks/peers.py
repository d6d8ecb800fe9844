"""The same list through enricher and through other tools: time, 429s, and what a kill costs.

    python -m benchmarks.peers                             100 rows, every peer: about 12 minutes
    python -m benchmarks.peers --rows 20 --only enricher --only scrapy
    python -m benchmarks.peers --only batchledger-readme   not run by default: about 14 minutes

Each peer does two jobs, each against a fresh simulator with the documented limit. The first is left
alone; it gives the time, requests a row, 429s, and rows right. The second is killed with SIGKILL,
with every process that it started, after half the time of the first (`--kill-at`), and started
again as the peer's docs say; it gives 429s, what was paid twice, and rows right. One kill is one
sample: what is under way at that instant decides.

The floor is what the limit itself takes: a submission and one look for each row, at the rate; or,
with long runs, all submissions and the last run. "Paid twice" counts the inputs for which the
server began more than one run. A row is right when the output holds for it exactly what the
simulator's pure function says. The server counts, in this process; the peers are others.

`benchmarks/peers_setup/scripts` holds the jobs, and which docs each follows. They look every
`--poll` seconds (the API's docs ask for 2 to 5). Python peers get an environment of their own each
in `--cache`. A peer that cannot be installed is skipped with a word. GNU parallel, curl and jq are
expected on the machine (Debian: apt install parallel curl jq).
"""

import argparse
import csv
import json
import math
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers_setup.roster import (
    ENRICHER,
    GRID,
    NAMES,
    ROSTER,
    CannotTakePart,
    Installed,
    default_cache,
    install,
)
from enricher.simulator import Settings, outputs_for, parse_duration
from enricher.simulator.server import RunningSimulator, running_simulator

_ROOT = Path(__file__).parents[1]
_PATIENCE = 20
"""A job that takes more than so many times the floor, and a minute, is stopped."""

Inputs = dict[str, str]


@dataclass(frozen=True)
class Task:
    """What all are asked to do."""

    leads: Sequence[Inputs]
    rate: float
    duration: str
    poll: float
    kill_at: float = 0.5
    """When the second job is killed: a share of the time that the first one took."""

    @property
    def settings(self) -> Settings:
        return Settings(rate=self.rate, duration=parse_duration(self.duration))

    @property
    def typical_seconds(self) -> float:
        """How long a run lasts, which a user knows from looking at a few."""
        return self.settings.duration.seconds(0.5)

    @property
    def floor(self) -> float:
        submitting = len(self.leads) / self.rate
        return max(2 * submitting, submitting + self.typical_seconds)


@dataclass(frozen=True)
class Count:
    """What one job came to: the server's counts, and the rows that are right."""

    seconds: float
    requests: int
    limited: int
    paid_twice: int
    right: int
    exit_code: int


def main() -> None:
    """Let everybody do both jobs, one after another, and print a line for each."""
    options = _options()
    leads = _made_leads(options.rows)
    task = Task(leads, options.rate, options.duration, options.poll, options.kill_at)
    print(_introduction(task))
    notes: list[str] = []
    for peer in ROSTER:
        if peer.name not in (options.only or [peer.name]):
            continue
        if not (options.only or peer.by_default):
            notes.append(f"{peer.name}: only when named with --only ({peer.remark})")
            continue
        try:
            installed = install(peer, options.cache)
        except CannotTakePart as reason:
            notes.append(f"{peer.name}: skipped, {reason}")
            continue
        notes.extend([f"{peer.name}: {peer.remark}"] if peer.remark else [])
        notes.extend(_compare(installed, task))
    print("\n" + "\n".join(notes))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--only", action="append", choices=NAMES, help="repeatable")
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--duration", default="3", help="of a run, as `enricher simulate` takes it")
    parser.add_argument(
        "--poll", type=float, default=2.0, help="seconds between looks of the peers"
    )
    parser.add_argument("--kill-at", type=float, default=0.5, help="a share of the time; 0.5")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="for environments")
    return parser.parse_args()


def _introduction(task: Task) -> str:
    killed = f"killed at {task.kill_at:.0%}"
    return (
        f"{len(task.leads)} rows, {task.rate:g} requests/s, runs of {task.duration} s,"
        f" looks every {task.poll:g} s; the floor is {task.floor:.1f} s.\n\n"
        f"{'':20}{'':>10}  {'left alone':38}{killed:>23}\n"
        f"{'peer':20}{'version':>10}{'wall s':>9}{'× floor':>9}{'req./row':>9}{'429s':>6}"
        f"{'right':>7}{'429s':>9}{'paid twice':>12}{'right':>7}"
    )


def _compare(installed: Installed, task: Task) -> list[str]:
    """Print a peer's line; what needs a word besides is returned."""
    alone = _do_job(installed, task)
    killed = _do_job(installed, task, kill_after=alone.seconds * task.kill_at)
    print(
        f"{installed.peer.name:20}{installed.version:>10}"
        f"{alone.seconds:9.1f}{alone.seconds / task.floor:9.2f}"
        f"{alone.requests / len(task.leads):9.2f}{alone.limited:6}{alone.right:7}"
        f"{killed.limited:9}{killed.paid_twice:12}{killed.right:7}",
        flush=True,
    )
    jobs = {"left alone": alone, "killed": killed}
    return [
        f"{installed.peer.name}: ended with exit code {job.exit_code} when {how}"
        for how, job in jobs.items()
        if job.exit_code != 0
    ]


# --- one job --------------------------------------------------------------------------------------


def _do_job(installed: Installed, task: Task, kill_after: float | None = None) -> Count:
    """Do the whole job in a fresh folder against a fresh simulator."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running_simulator(task.settings) as world,
    ):
        folder = Path(name)
        _write_leads(task.leads, folder)
        started = time.perf_counter()
        if kill_after is not None:
            _live(installed, task, world, folder, kill_after)
        exit_code = _live(installed, task, world, folder, _PATIENCE * task.floor + 60)
        seconds = time.perf_counter() - started
        workspace = world.workspace
        runs = Counter(run.inputs_json for run in workspace.runs)
        return Count(
            seconds=seconds,
            requests=workspace.requests.total() + workspace.rate_limited,
            limited=workspace.rate_limited,
            paid_twice=sum(times > 1 for times in runs.values()),
            right=_count_right(installed, task.leads, folder),
            exit_code=exit_code,
        )


def _live(
    installed: Installed, task: Task, world: RunningSimulator, folder: Path, at_most: float
) -> int:
    """Start the peer and wait until it ends, or kill it; its exit code."""
    with (folder / "said.log").open("ab") as said:
        process = subprocess.Popen(  # noqa: S603 — the commands of the roster
            installed.command,
            cwd=folder,
            env=_environment(installed, task, world, folder),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        with _nothing_left_of(process):
            try:
                process.wait(at_most)
            except subprocess.TimeoutExpired:
                _kill_session(process.pid)
        return process.wait()


def _environment(
    installed: Installed, task: Task, world: RunningSimulator, folder: Path
) -> dict[str, str]:
    """The same for all; each reads what it needs."""
    checkout = {"PYTHONPATH": str(_ROOT)} if installed.peer is ENRICHER else {}
    return {
        **checkout,
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "BASE_URL": world.base_url,
        "API_KEY": world.api_key,
        "GRID_ID": GRID.id,
        "RATE": f"{task.rate:g}",
        "POLL_SECONDS": f"{task.poll:g}",
        "LOOKS": str(max(1, math.ceil(task.typical_seconds / task.poll))),
        # enricher's names for the first two.
        "BITSCALE_BASE_URL": world.base_url,
        "BITSCALE_API_KEY": world.api_key,
    }


@contextmanager
def _nothing_left_of(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """No process of the peer outlives the block, whatever ends it."""
    try:
        yield
    finally:
        _kill_session(process.pid)


def _kill_session(session: int) -> None:
    """SIGKILL to all of a session: GNU parallel puts each job into a process group of its own."""
    while members := _members(session):
        for member in members:
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


def _members(session: int) -> list[int]:
    """The processes of a session that still run."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,stat="],  # noqa: S607 — where it stands differs by system
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = []
    for pid, state, *_ in map(str.split, listed.splitlines()):
        try:
            if os.getsid(int(pid)) == session and not state.startswith("Z"):
                found.append(int(pid))
        except ProcessLookupError:
            continue
    return found


# --- leads and judgement --------------------------------------------------------------------------


def _made_leads(rows: int) -> list[Inputs]:
    """So many distinct inputs: the sample companies, numbered from the second time on."""
    with (_ROOT / "sample_data" / "companies.csv").open(encoding="utf-8", newline="") as file:
        samples = dict.fromkeys(
            (record["Company Name"], record["Website"])
            for record in csv.DictReader(file)
            if record["Company Name"]
        )
    leads = []
    for number in range(rows):
        (name, website), again = list(samples)[number % len(samples)], number // len(samples)
        if again:
            name, website = f"{name} {again + 1}", f"unit{again + 1}.{website}"
        leads.append({"company_name": name, "website": website})
    return leads


def _write_leads(leads: Sequence[Inputs], folder: Path) -> None:
    rows = [("Company Name", "Website"), *(tuple(lead.values()) for lead in leads)]
    with (folder / "leads.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    text = "".join("\t".join(row) + "\n" for row in rows[1:])
    (folder / "leads.tsv").write_text(text, encoding="utf-8")


def _count_right(installed: Installed, leads: Sequence[Inputs], folder: Path) -> int:
    """The leads that have a right answer in the output, and no wrong one."""
    read = _read_csv if installed.peer is ENRICHER else _read_lines
    verdicts: dict[tuple[str, ...], list[bool]] = {}
    for inputs, right in read(folder):
        verdicts.setdefault(tuple(inputs.values()), []).append(right)
    found = [verdicts.get(tuple(lead.values()), [False]) for lead in leads]
    return sum(all(verdict) for verdict in found)


def _read_lines(folder: Path) -> Iterator[tuple[Inputs, bool]]:
    """A peer's output: a line of JSON with the inputs and the last answer as it came."""
    path = folder / "out.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:  # half a line, from the moment of the kill
            continue
        inputs = {label: row[label] for label in GRID.labels}
        answer = row["answer"] or {}
        yield inputs, answer.get("outputs") == outputs_for(GRID, inputs)


def _read_csv(folder: Path) -> Iterator[tuple[Inputs, bool]]:
    """enricher's output: a column for each output; text as it is, and all else as JSON."""
    path = folder / "out.csv"
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            inputs = {"company_name": row["Company Name"], "website": row["Website"]}
            outputs = outputs_for(GRID, inputs).values()
            yield inputs, all(_shows(row[it["name"]], it["value"]) for it in outputs)


def _shows(cell: str, value: object) -> bool:
    if value is None or isinstance(value, str):
        return cell == (value or "")
    try:
        found = json.loads(cell)
    except ValueError:
        return False
    return bool(found == value and type(found) is type(value))


if __name__ == "__main__":
    main()
