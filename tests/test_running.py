"""The examples of docs/running: each parses, its commands are taken, and its codes lead on.

What is not checked here: that cron, Docker and GitHub take their files (no daemon, no runner), and
Airflow, Dagster and Prefect themselves, which are no tools of this repository: stand-ins of the few
names that an example uses take their place, so that what follows from each exit code is seen.
"""

import ast
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it comes with schemathesis

from enricher.cli.tree import cli
from tests.acceptance.desk import SAMPLES, Desk, cells, desk_in
from tests.support import schedulers

ROOT = Path(__file__).parent.parent
RUNNING = ROOT / "docs/running"
JOB = RUNNING / "leads.job.toml"
FLOWS = {
    "airflow": RUNNING / "airflow/enrich_leads.py",
    "dagster": RUNNING / "dagster/enriched_leads.py",
    "prefect": RUNNING / "prefect/enrich_leads.py",
}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


def assert_taken(arguments: list[str]) -> None:
    """The program takes these words, types of values included."""
    name, *rest = arguments
    with cli.make_context("enricher", list(arguments)) as context:
        command = cli.get_command(context, name)
        assert command is not None, f"no such command: {name}"
        command.make_context(name, rest, parent=context).close()


# --- the job file ---------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_in(tmp_path) as found:
        shutil.copy(JOB, found.folder)
        rows = (SAMPLES / "companies.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        (found.folder / "leads.csv").write_text("".join(rows[:4]), encoding="utf-8")
        yield found


def test_the_job_file_is_one_and_feeds_the_grid_of_the_simulator(desk: Desk) -> None:
    assert desk.do("plan", "leads.job.toml", "--json").json["new_runs"] == 3
    options = tomllib.loads(JOB.read_text(encoding="utf-8"))["options"]
    assert {"max_runs", "stop_after"} <= set(options), "a night has its bounds"


# --- cron -----------------------------------------------------------------------------------------


def night(desk: Desk, **env: str) -> "subprocess.CompletedProcess[str]":
    """What the line of the crontab does, with the paths of a desk."""
    (line,) = [
        line
        for line in (RUNNING / "cron/crontab").read_text(encoding="utf-8").splitlines()
        if re.match(r"[\d*]", line)
    ]
    *times, command = line.split(maxsplit=5)
    assert all(re.fullmatch(r"\d+|\*", time) for time in times)
    script, _folder = shlex.split(command)
    key = desk.folder.parent / "bitscale.key"
    key.touch(mode=0o600)
    key.write_text(desk.world.api_key, encoding="ascii")
    return subprocess.run(
        [
            "/bin/sh",
            "-c",
            shlex.join([str(RUNNING / "cron" / Path(script).name), str(desk.folder)]),
        ],
        env={
            "HOME": str(desk.folder),
            "PYTHONPATH": str(ROOT),
            "BITSCALE_BASE_URL": desk.world.base_url,
            "ENRICHER_BIN": str(Path(sys.executable).parent),
            "ENRICHER_KEY_FILE": str(key),
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_good_night_under_cron_says_nothing_and_leaves_the_output(desk: Desk) -> None:
    done = night(desk)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    output = cells(desk.folder / "leads.enriched.csv")
    assert output.column("enrichment_status") == ["completed"] * 3
    assert (desk.folder / "leads.summary.json").is_file()


@pytest.mark.parametrize(
    ("code", "told"),
    [(0, ""), (3, "Some rows failed"), (4, ""), (143, ""), (5, "needs a person"), (1, "person")],
)
def test_cron_mails_what_a_person_should_read(desk: Desk, code: int, told: str) -> None:
    done = night(desk, ENRICHER_BIN=str(schedulers.program_that_ends_with(code, desk.folder)))
    assert done.returncode == code
    assert (told in done.stdout) if told else not done.stdout


def test_cron_mails_a_night_that_could_not_begin(desk: Desk) -> None:
    """Code 4 every night, of a wrong address, must not stay unseen for ever."""
    job = desk.folder / "leads.job.toml"
    job.write_text(job.read_text(encoding="utf-8") + 'max_outage = "0s"\n', encoding="utf-8")
    done = night(desk, BITSCALE_BASE_URL="http://127.0.0.1:9/api/v1")
    assert done.returncode == 4
    assert "Nothing was done this night" in done.stdout
    assert "connection refused" in done.stdout
    assert not [name for name in desk.files() if name.startswith("enricher.log.")]


def test_the_command_of_the_script_is_taken() -> None:
    text = (RUNNING / "cron/enrich-nightly").read_text(encoding="utf-8").replace("\\\n", " ")
    (command,) = re.findall(r"^enricher (.*?) >", text, re.MULTILINE)
    assert_taken(shlex.split(command))


# --- systemd --------------------------------------------------------------------------------------


def unit_lines(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (RUNNING / "systemd" / name).read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_runs_a_command_that_is_taken_and_knows_the_codes() -> None:
    unit = unit_lines("enricher-leads.service")
    program, *arguments = shlex.split(unit["ExecStart"][0])
    assert Path(program).name == "enricher"
    assert_taken(arguments)
    assert "3" in unit["SuccessExitStatus"][0].split()
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"][0].split() == ["1", "2", "5"]
    assert unit["LoadCredential"][0].startswith("BITSCALE_API_KEY:")


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "enricher"
    if not program.exists():
        pytest.skip("no installed enricher that a unit could name")
    for unit in (RUNNING / "systemd").iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/enricher/bin/enricher", str(program))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    units = [tmp_path / name for name in ("enricher-leads.service", "enricher-leads.timer")]
    checked = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


# --- Airflow, Dagster, Prefect --------------------------------------------------------------------


@pytest.mark.parametrize("example", FLOWS.values(), ids=FLOWS)
def test_the_command_of_a_flow_is_taken(example: Path) -> None:
    tree = ast.parse(example.read_text(encoding="utf-8"))
    lists = [
        ast.literal_eval(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.List) and all(isinstance(part, ast.Constant) for part in node.elts)
    ]
    (command,) = [found for found in lists if found[:1] == ["enricher"]]
    assert_taken(command[1:])


@pytest.mark.parametrize(
    ("code", "what_follows"),
    [(0, "done"), (3, "done"), (4, "again"), (143, "again"), (1, "a person"), (5, "a person")],
)
@pytest.mark.parametrize("name", FLOWS)
def test_what_a_flow_makes_of_each_code(
    name: str, code: int, what_follows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(schedulers.program_that_ends_with(code, tmp_path)), prepend=":")
    stand_in: dict[str, ModuleType] = schedulers.STAND_INS[name]()
    for module, content in stand_in.items():
        monkeypatch.setitem(sys.modules, module, content)
    example = tmp_path / "example.py"
    text = FLOWS[name].read_text(encoding="utf-8").replace("/srv/leads", str(tmp_path))
    example.write_text(text, encoding="utf-8")
    assert schedulers.outcome(lambda: runpy.run_path(str(example)), name) == what_follows


# --- GitHub Actions, Docker -----------------------------------------------------------------------


def workflow_steps() -> list[dict[str, Any]]:
    text = (RUNNING / "github-actions/enrich-leads.yml").read_text(encoding="utf-8")
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow["concurrency"] == {"group": "enrich-leads", "cancel-in-progress": False}
    steps: list[dict[str, Any]] = workflow["jobs"]["enrich"]["steps"]
    return steps


def workflow_command() -> list[str]:
    scripts = "\n".join(step.get("run", "") for step in workflow_steps())
    (command,) = re.findall(r"^enricher (.*) \|\| code=\$\?$", scripts, re.MULTILINE)
    return shlex.split(command)


def test_the_workflow_runs_a_command_that_is_taken() -> None:
    assert_taken(workflow_command())
    for step in workflow_steps():
        subprocess.run(["sh", "-n"], input=step.get("run", ""), text=True, check=True)


def test_a_night_of_the_workflow_buys_nothing_that_the_cache_of_the_last_one_holds(
    desk: Desk,
) -> None:
    fetch, keep = (
        next(step for step in workflow_steps() if f"actions/cache/{what}" in step.get("uses", ""))
        for what in ("restore", "save")
    )
    assert keep["if"] == "always()"
    cached = keep["with"]["path"]
    assert (fetch["with"]["path"], fetch["with"]["key"]) == (cached, keep["with"]["key"])
    desk.do(*workflow_command())
    assert len(desk.bought) == 3
    kept = set(desk.folder.glob(cached)) | {desk.folder / "leads.csv", desk.folder / JOB.name}
    for path in set(desk.folder.iterdir()) - kept:  # the next night begins with a fresh checkout
        path.unlink()
    assert desk.do(*workflow_command(), "--json").json["rows"]["reused"] == 3
    assert len(desk.bought) == 3


@pytest.mark.parametrize(
    ("code", "ends", "told"),
    [(0, 0, ""), (3, 0, "::warning::"), (4, 0, "::notice::"), (5, 5, "::error::")],
)
def test_what_the_workflow_makes_of_each_code(
    code: int, ends: int, told: str, tmp_path: Path
) -> None:
    (script,) = [step["run"] for step in workflow_steps() if step.get("name") == "Enrich"]
    folder = schedulers.program_that_ends_with(code, tmp_path)
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ends
    assert (told in done.stdout) if told else not done.stdout


def instructions() -> list[tuple[str, str]]:
    text = (RUNNING / "docker/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_built_from_what_is_there_and_runs_enricher() -> None:
    said = instructions()
    words = [word for word, _ in said]
    for word, rest in said:
        if word == "FROM":
            assert re.match(r"\S+:[\d.]+\S*( AS \w+)?$", rest), f"a version, not the latest: {rest}"
        if word == "COPY" and not rest.startswith("--from"):
            missing = [name for name in rest.split()[:-1] if not (ROOT / name).exists()]
            assert not missing, missing
        if word == "RUN" and "pip install" in rest:
            assert "--require-hashes" in rest or "--no-deps" in rest
    assert words.index("USER") > max(n for n, word in enumerate(words) if word == "RUN")
    entry, default = (yaml.safe_load(dict(said)[word]) for word in ("ENTRYPOINT", "CMD"))
    assert Path(entry[0]).name == "enricher"
    assert default == ["--help"]


def test_compose_runs_a_command_that_is_taken_and_starts_nothing_again_by_itself() -> None:
    composed = yaml.safe_load((RUNNING / "docker/compose.yaml").read_text(encoding="utf-8"))
    service = composed["services"]["leads"]
    assert_taken(shlex.split(service["command"]))
    assert service["restart"] == "no"
    build = service["build"]
    assert (RUNNING / "docker" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert set(service["secrets"]) == set(composed["secrets"])
