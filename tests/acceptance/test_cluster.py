"""A job on a cluster of Dask: workers die, people stop it, and the output is that of one run."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, Cells, Desk, Life, cells, items, until

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="the extra dask is not installed"
)

GRID = ("--grid", COMPANIES.id)
QUIET = ("--no-progress", "--json")


def leads(desk: Desk, rows: int) -> None:
    lines = [f"Firma {n},firma{n}.example" for n in range(rows)]
    desk.write("leads.csv", ["Company Name,Website", *lines])


def run(*options: object, on: str = "local:3") -> tuple[str, ...]:
    words = ("run", "leads.csv", *GRID, "-o", "out.csv", "--cluster", on, *QUIET, *options)
    return tuple(map(str, words))


def alone(desk: Desk) -> Cells:
    """The output of a single run of the same list."""
    desk.do("run", "leads.csv", *GRID, "--rate", "unlimited", "-o", "alone.csv", *QUIET)
    return cells(desk.folder / "alone.csv")


def shards(desk: Desk) -> list[Path]:
    return sorted(desk.folder.glob("out.csv.shards/*/shard-*.checkpoint.db"))


def workers(life: Life) -> list[int]:
    """The worker processes of `--cluster local:N`."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    found = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [
        int(pid)
        for pid, parent, words in found
        if int(parent) == life.process.pid and "spawn_main" in words
    ]


def all_at_work(desk: Desk) -> bool:
    """Whether each of three shards has submitted something, and none is near its end."""
    begun = [len(items(path)) for path in shards(desk)]
    return len(begun) == 3 and min(begun) >= 5


def test_a_worker_that_is_killed_costs_nothing_that_is_not_listed(new_desk) -> None:
    """300 rows in 3 shards at a limit of 150/s, which holds over all workers."""
    desk = new_desk(rate=150.0, duration="constant:0.3")
    leads(desk, 300)
    life = desk.start(*run("--rate", 150))
    until(lambda: all_at_work(desk), "three shards at work")
    os.kill(workers(life)[0], signal.SIGKILL)
    said = life.end()
    told = said.json
    doubts = told["rows"]["in_doubt"]
    assert said.code == (3 if doubts else 0), said.err
    assert "goes on with another worker" in said.err
    assert told["rows"]["completed"] == 300 - doubts
    assert told["requests"]["rate_limited"] <= 1, "a late timer may be one"
    assert max(Counter(map(str, desk.bought)).values()) == 1, "nothing is bought twice"
    rows = zip(alone(desk).rows, cells(desk.folder / "out.csv").rows, strict=True)
    assert sum(mine != other for other, mine in rows) == doubts, "all others are those of one run"


def test_a_stop_reaches_all_and_the_same_command_goes_on(new_desk) -> None:
    """As from a terminal: every process of the group gets the signal."""
    desk = new_desk(duration="constant:0.5")
    leads(desk, 60)
    life = desk.start(*run("--rate", 20, on="local:2"))
    until(lambda: len(desk.bought) >= 20, "submissions")
    for pid in (*workers(life), life.process.pid):
        os.kill(pid, signal.SIGINT)
    told = life.end(130).json
    assert (told["outcome"], told["reason_code"]) == ("stopped", "signal")
    assert (told["rows"]["total"], told["rows"]["in_doubt"]) == (60, 0)
    assert (desk.folder / "out.partial.csv").exists()
    assert not (desk.folder / "out.csv").exists()
    bought = len(desk.bought)
    told = desk.do(*run("--rate", 500, on="local:1")).json
    assert told["rows"]["completed"] == 60
    assert told["runs"]["submitted"] == 60 - bought
    assert len(desk.bought) == 60, "nothing is bought twice"
    assert not (desk.folder / "out.partial.csv").exists()
    alone(desk)
    merged, single = ((desk.folder / name).read_bytes() for name in ("out.csv", "alone.csv"))
    assert merged == single


def test_a_second_stop_waits_for_no_answer(new_desk) -> None:
    desk = new_desk(duration="constant:60")
    leads(desk, 8)
    life = desk.start(*run("--rate", 20, "--mode", "sync", on="local:1"))
    until(lambda: len(desk.bought) == 8, "submissions")
    life.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping; waiting for the answers" in life.line_on_stderr(), "a word")
    life.process.send_signal(signal.SIGTERM)
    told = life.end(143).json
    assert told["seconds"] < 50
    assert told["rows"]["in_doubt"] == 8


def test_workers_that_die_too_often(new_desk) -> None:
    desk = new_desk(duration="constant:1")
    leads(desk, 40)
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    life = desk.start(*run("--rate", 20, on="local:1"), env=once)
    until(lambda: len(desk.bought) >= 5, "submissions")
    for pid in workers(life):
        os.kill(pid, signal.SIGKILL)
    told = life.end(4).json
    assert told["reason_code"] == "workers_lost"
    assert "not finished: shard 0" in told["reason"]
    assert told["rows"]["total"] == 40


# --- a cluster that exists already ----------------------------------------------------------------


@contextmanager
def cluster(desk: Desk, folder: Path, **worker_env: str) -> Iterator[str]:
    """A scheduler and a worker that somebody started; gives the scheduler's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = (sys.executable, "-m", "distributed.cli")
    starts = [
        ([f"{dask[2]}.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)], {}),
        ([f"{dask[2]}.dask_worker", address, "--nthreads", "2", "--no-nanny"], worker_env),
    ]
    running = []
    try:
        for words, env in starts:
            with (folder / "dask.log").open("ab") as log:
                running.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *words, "--no-dashboard"],
                        cwd=folder,
                        env={**desk.env, **env},
                        stdout=log,
                        stderr=log,
                    )
                )
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


def test_an_existing_cluster_runs_it_and_knows_no_key(new_desk, tmp_path) -> None:
    """Its client is killed, and the same command goes on: the workers have saved what they had."""
    desk = new_desk(duration="constant:0.5")
    leads(desk, 40)
    with cluster(desk, tmp_path) as address:
        life = desk.start(*run("--shards", 2, "--rate", 10, on=address))
        until(lambda: len(desk.bought) >= 5, "submissions")
        life.process.kill()
        life.process.wait()
        said = desk.do(*run("--shards", 3, on=address), exits=1)
        assert "is of a job in 2 shards, not 3" in said.err
        told = desk.do(*run("--rate", 100, on=address)).json
        assert (told["rows"]["completed"], told["exit_code"]) == (40, 0)
        assert told["runs"]["submitted"] < 40
        assert len(desk.bought) == 40, "nothing is bought twice"
    manifest = ("--manifest", "out.csv.shards/manifest.json", "--json")
    assert desk.do("status", *manifest).json["rows"]["completed"] == 40
    assert desk.world.api_key not in (tmp_path / "dask.log").read_text()


def test_a_scheduler_that_goes_away(new_desk, tmp_path) -> None:
    desk = new_desk(duration="constant:0.5")
    leads(desk, 40)
    with cluster(desk, tmp_path) as address:
        life = desk.start(*run("--rate", 10, on=address))
        until(lambda: len(desk.bought) >= 5, "submissions")
    said = life.end(4)
    assert said.json["error"]["code"] == "cluster_gone"
    assert "all is kept" in said.err


def test_workers_of_another_version_are_refused(desk: Desk, tmp_path) -> None:
    leads(desk, 3)
    other = tmp_path / "enricher-9.9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: enricher\nVersion: 9.9.9\n")
    path = f"{tmp_path}:{desk.env['PYTHONPATH']}"
    with cluster(desk, tmp_path, PYTHONPATH=path) as address:
        said = desk.do(*run(on=address), exits=1)
    assert "has enricher 9.9.9, and this command is of enricher 0.1.0" in said.err
    assert said.json["error"]["code"] == "cluster_versions"
    assert desk.bought == []


def test_no_cluster_there(desk: Desk) -> None:
    leads(desk, 3)
    soon = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    said = desk.do(*run(on="tcp://127.0.0.1:9"), env=soon, exits=4)
    assert "The cluster tcp://127.0.0.1:9 cannot be reached" in said.err
    assert said.json["error"]["code"] == "cluster_gone"


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "words_said"),
    [
        (("--cluster", "nowhere"), 2, "'nowhere' is not local:N"),
        (("--cluster", "local:0"), 2, "'local:0' is not local:N"),
        (("--cluster", "local:2", "--max-runs", "5"), 2, "--max-runs counts what one process"),
        (("--cluster", "local:2", "--checkpoint", "c.db"), 2, "exclude each other"),
        (("--cluster", "local:2", "--manifest", "m.json"), 2, "exclude each other"),
        (("--cluster", "local:2", "--state-dir", "sqlite:///x.db"), 2, "keeps no state of shards"),
        (("--cluster", "local:2", "-o", "-"), 2, "--cluster needs an output file"),
        (("--shards", "2"), 2, "--shards belongs to --cluster"),
        (("--cluster", "local:2", "-o", "taken.csv"), 1, "taken.csv exists, and no run of"),
        (("--cluster", "local:2", "-o", "single.csv"), 1, "is of a run without --cluster"),
    ],
)
def test_wrong_usage(shared_desk: Desk, words, code, words_said) -> None:
    desk = shared_desk
    if not (desk.folder / "single.csv").exists():
        leads(desk, 3)
        desk.write("taken.csv", ["mine"])
        desk.do("run", "leads.csv", *GRID, "-o", "single.csv", "--no-progress")
    said = desk.do("run", "leads.csv", *GRID, *words, exits=code)
    assert words_said in said.err


def test_what_cannot_be_divided(desk: Desk) -> None:
    said = desk.do("run", "-", *GRID, "-o", "out.csv", "--cluster", "local:2", exits=2)
    assert "cannot be run in shards: each reads the input" in said.err
    grids = "".join(f'[[steps]]\n[steps.provider]\ngrid = "{COMPANIES.id}"\n' for _ in range(2))
    leads(desk, 2)
    desk.write("two.toml", ['input = "leads.csv"', grids])
    said = desk.do("run", "two.toml", "--cluster", "local:2", exits=2)
    assert "A job of several steps cannot be run in shards" in said.err


def test_two_commands_on_one_job(new_desk) -> None:
    desk = new_desk(duration="constant:60")
    leads(desk, 4)
    first = desk.start(*run("--rate", 20, on="local:1"))
    until(lambda: desk.bought, "a submission")
    said = desk.do(*run(on="local:1"), exits=4)
    assert "is in use by another enricher process" in said.err
    first.process.kill()
    first.process.wait()


def test_the_program_without_the_extra(desk: Desk) -> None:
    leads(desk, 2)
    hide = desk.write("sitecustomize.py", ["import sys", "sys.modules['distributed'] = None"])
    path = f"{hide.parent}:{desk.env['PYTHONPATH']}"
    said = desk.do(*run(), env={"PYTHONPATH": path}, exits=1)
    assert "pip install 'enricher[dask]'" in said.err
