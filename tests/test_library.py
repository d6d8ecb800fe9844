"""`import enricher`: light, typed, documented with examples that run, and a good guest."""

import asyncio
import doctest
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path
from types import ModuleType

import pytest

import enricher
from enricher.job import Job as Fields
from enricher.library.options import Changes, Options
from enricher.simulator.server import running_simulator
from tests.acceptance.desk import COMPANIES, ROOT, SAMPLES, until, world_settings

GRID = COMPANIES.id
UNITS = re.compile(r"seconds|credits|requests")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A simulated workspace, its key in the environment, and the samples in the current folder."""
    with running_simulator(world_settings("constant:0.02", rate=500)) as world:
        shutil.copy(SAMPLES / "companies.csv", tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("BITSCALE_BASE_URL", world.base_url)
        monkeypatch.setenv("BITSCALE_API_KEY", world.api_key)
        yield world


@pytest.fixture
def slow_world(world):
    """The same, but its runs never end within a test."""
    with running_simulator(world_settings("constant:600", rate=500)) as slow:
        os.environ["BITSCALE_BASE_URL"] = slow.base_url
        yield slow


# --- the names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", enricher.__all__)
def test_every_name_is_documented_and_its_example_runs(name, world):
    doc = inspect.getdoc(getattr(enricher, name)) or ""
    assert "Raises:" in doc
    assert UNITS.search(doc) or name == "EventName", "its units are not told"
    example = doc.partition("Example:")[2]
    names = {"enricher": enricher, "asyncio": asyncio, "GRID": GRID, "BASE_URL": world.base_url}
    test = doctest.DocTestParser().get_doctest(example, names, name, None, 0)
    assert test.examples
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert result.failed == 0, "".join(said)


def test_names_stay_what_they_are_when_all_is_imported(world):
    enricher.run("companies.csv", grid=GRID, limit=1)
    for name in set(enricher.__all__) - {"errors"}:
        assert not isinstance(getattr(enricher, name), ModuleType), name
    assert set(enricher.__all__) <= set(dir(enricher))
    with pytest.raises(AttributeError, match="no attribute 'enrich'"):
        enricher.enrich  # noqa: B018


def test_options_are_those_of_a_job():
    by_name = {
        "input",
        "target",
        "maps",
        "templates",
        "own_keys",
        "wanted",
        "step",
        "steps",
        "shard",
        "job_file",
    }
    mine = set(Fields.model_fields) - by_name | {"grid", "endpoint", "workflow", "inputs"}
    assert set(Options.__annotations__) | set(Changes.__annotations__) == mine


def test_every_option_stands_in_the_reference():
    text = (ROOT / "docs/python.md").read_text()
    names = {*Options.__annotations__, *Changes.__annotations__, *enricher.__all__}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_nothing_heavy_is_imported_before_its_use():
    code = "import sys, enricher; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", f"import json; {code}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = json.loads(found.stdout)
    heavy = ("polars", "httpx2", "pydantic", "enricher.api", "enricher.library", "sqlite3")
    assert [name for name in heavy if name in loaded] == []


# --- a good guest ---------------------------------------------------------------------------------


def test_nothing_is_printed_and_no_signal_is_touched(world, capfd):
    before = signal.getsignal(signal.SIGINT)
    enricher.run("companies.csv", grid=GRID, limit=3)
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_on_standard_error_when_asked_for(world, capfd):
    enricher.run("companies.csv", grid=GRID, limit=3, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "40/40 rows" in err


def test_a_blocking_call_works_where_a_loop_runs_already(world):
    async def cell():
        return enricher.run("companies.csv", grid=GRID), enricher.plan("companies.csv", grid=GRID)

    summary, plan = asyncio.run(cell())
    assert (summary.rows.completed, plan.census.new_runs) == (39, 0)


def test_the_callers_loop_is_not_held_up(world):
    beats = 0

    async def beat():
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.01)  # of the caller's own

    async def both():
        heart = asyncio.create_task(beat())
        summary = await enricher.arun("companies.csv", grid=GRID)
        heart.cancel()
        return summary

    summary = asyncio.run(both())
    assert summary.rows.completed == 39
    assert beats > 10


def test_an_option_that_is_wrong_is_named_with_all_others():
    with pytest.raises(enricher.errors.UsageError) as caught:
        enricher.run("companies.csv", grid=GRID, rate="fast", max_runs=0)
    assert "--rate" in caught.value.message
    assert "--max-runs" in caught.value.message


def test_inputs_of_no_form_are_named():
    with pytest.raises(enricher.errors.UsageError, match=r"inputs\['site'\]"):
        enricher.run("companies.csv", grid=GRID, inputs={"site": {"column": "A", "value": "B"}})


def test_job_files_and_changed_jobs(world, tmp_path):
    file = tmp_path / "night.toml"
    file.write_text(f'input = "companies.csv"\n[provider]\ngrid = "{GRID}"\n[options]\nlimit = 7\n')
    job = enricher.Job.from_toml(file)
    assert enricher.run(job).runs.submitted == len(world.workspace.runs) > 0
    enricher.run(job.but(limit=20))
    enricher.run(job, limit=40)
    assert len(world.workspace.runs) == 36
    assert enricher.run(file, limit=40).runs.submitted == 0


def test_inputs_are_columns_templates_and_values(world):
    inputs = {"company_name": {"value": "{Acme}"}, "website": {"template": "https://{Website}"}}
    enricher.run("companies.csv", grid=GRID, inputs=inputs, limit=1)
    (run,) = world.workspace.runs
    assert run.inputs["company_name"] == "{Acme}"
    assert run.inputs["website"] == "https://lowes.com"


def test_a_job_that_cannot_begin_is_an_error(world, monkeypatch):
    monkeypatch.setenv("BITSCALE_API_KEY", "sk-of-nobody-else")
    with pytest.raises(enricher.errors.ProviderRefused) as caught:
        enricher.run("companies.csv", grid=GRID)
    assert caught.value.code == "INVALID_API_KEY"


# --- cancelled ------------------------------------------------------------------------------------


def saved(world) -> None:
    """What is known when a job was cancelled: everything that was submitted, and nothing twice."""
    summary = enricher.status("companies.enriched.csv.checkpoint.db").summary
    assert (summary.outcome, summary.reason_code) == (enricher.JobOutcome.STOPPED, "signal")
    assert summary.runs.in_flight == summary.runs.submitted == len(world.workspace.runs)
    assert summary.rows.in_doubt == 0
    assert Path("companies.enriched.partial.csv").exists()


def test_a_cancelled_task_has_saved(slow_world):
    async def cancelled():
        job = asyncio.create_task(enricher.arun("companies.csv", grid=GRID))
        await asyncio.to_thread(until, lambda: len(slow_world.workspace.runs) >= 5, "5 runs")
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancelled())
    saved(slow_world)


def test_a_stream_that_is_left_has_saved(slow_world):
    async def left():
        async with aclosing(enricher.stream("companies.csv", grid=GRID)) as events:
            async for _ in events:
                if len(slow_world.workspace.runs) >= 5:
                    break

    asyncio.run(left())
    saved(slow_world)


def test_a_callback_that_raises_stops_the_job_which_saves(slow_world):
    def heard(event):
        if event.summary and event.summary.runs.submitted >= 5:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        enricher.run("companies.csv", grid=GRID, on_event=heard)
    saved(slow_world)


def test_what_has_not_begun_is_just_cancelled(world, monkeypatch):
    monkeypatch.setenv("BITSCALE_BASE_URL", "http://127.0.0.1:9/api/v1")  # nobody is there

    async def cancelled():
        heard = asyncio.Event()
        job = asyncio.create_task(
            enricher.arun("companies.csv", grid=GRID, on_event=lambda _: heard.set())
        )
        await heard.wait()
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancelled())
    assert sorted(path.name for path in Path().iterdir()) == ["companies.csv"]


@pytest.mark.parametrize(
    ("asked", "number", "outcome"),
    [
        ("", signal.SIGINT, "KeyboardInterrupt"),
        (", stop_signals=True", signal.SIGINT, "130"),
        (", stop_signals=True", signal.SIGTERM, "143"),
    ],
)
def test_signals(slow_world, asked, number, outcome):
    code = f"""
import enricher
try:
    print(enricher.run("companies.csv", grid={GRID!r}{asked}).exit_code)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A background job ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until(lambda: len(slow_world.workspace.runs) >= 5, "five submissions")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (out.strip(), err) == (outcome, "")
    saved(slow_world)


def test_no_thread_is_left(world):
    enricher.run("companies.csv", grid=GRID, limit=1)
    until(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("enricher")],
        "the end of the job's thread",
    )
