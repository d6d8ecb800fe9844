"""A person's desk: a folder with an awkward name, a shell, the real program, and a workspace.

Every test drives `python -m enricher` as a process of its own against the simulator on loopback,
in this process, where its runs and requests can be counted. What a desk sees is searched when it
is cleared: an API key, a traceback or an escape sequence in the wrong place fails the test.
"""

import csv
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import polars as pl

from enricher.simulator import GRIDS, Grid, Settings, World, outputs_for, parse_duration
from enricher.simulator.server import RunningSimulator, running_simulator
from enricher.zstd import ZstdFile
from tests.support.canary import KEY, assert_clean, disguises

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"
INSTALLED = os.environ.get("ENRICHER_PYTHON", "")
"""A Python with an installed enricher to try instead of this checkout; see `tools.package`."""

PROGRAM = (INSTALLED or sys.executable, "-m", "enricher")
COMPANIES, PEOPLE, NO_SOURCE, WEBSITES, NO_SOURCE_COLUMN, _ = GRIDS

PATIENCE = 60.0
"""Seconds after which whatever a test waits for counts as never coming."""

STATUS = ("enrichment_status", "enrichment_error")


# --- what a command said --------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on the one line that is all of standard output."""
        (line,) = self.out.splitlines()
        return json.loads(line)


class Life:
    """A process of the program that was started and not waited for."""

    def __init__(self, desk: "Desk", process: "subprocess.Popen[str]") -> None:
        self._desk = desk
        self.process = process

    def end(self, exits: int | None = None) -> Said:
        """Wait for it to end; it must do so with the code `exits`, if one is given."""
        out, err = self.process.communicate(timeout=PATIENCE)
        said = Said(self.process.returncode, out, err)
        self._desk.said.append(said)
        assert exits is None or said.code == exits, f"code {said.code}\n{out}\n{err}"
        return said

    def is_over(self) -> bool:
        """Whether it has ended; `end` tells how."""
        return self.process.poll() is not None

    def line_on_stderr(self) -> str:
        """The next line; it is not part of what `end` gives."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()


# --- the desk -------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A folder with a workspace: `world` is the simulator and its counts, `state` the directory for
    what is the user's and no job's."""

    folder: Path
    world: RunningSimulator
    state: Path
    secrets: list[str] = field(default_factory=lambda: [KEY])
    key_files: list[Path] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    _lives: list[Life] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """A user's environment; nothing of the one that runs the tests gets in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(Path(INSTALLED).parent if INSTALLED else ROOT),
            "BITSCALE_BASE_URL": self.world.base_url,
            "BITSCALE_API_KEY": self.world.api_key,
            "XDG_STATE_HOME": str(self.state),
        }

    def start(
        self,
        *words: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: Path = Path(os.devnull),
        stdout: int = subprocess.PIPE,
        under: Sequence[str] = (),
    ) -> Life:
        """Start a command, under another program if one is named.

        `env` adds to the environment, and an empty text takes away. It reads `stdin`, a file, and
        writes to `stdout`, a pipe that `end` reads unless told else.
        """
        with stdin.open("rb") as given:
            process = subprocess.Popen(
                [*under, *PROGRAM, *map(str, words)],
                cwd=cwd or self.folder,
                env={name: value for name, value in {**self.env, **(env or {})}.items() if value},
                stdin=given,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
        life = Life(self, process)
        self._lives.append(life)
        return life

    def do(self, *words: object, exits: int = 0, **how: Any) -> Said:
        """Do a command to its end, which must be the code `exits`."""
        return self.start(*words, **how).end(exits)

    def room(self, name: str) -> "Desk":
        """A folder of its own below this one, with the same workspace."""
        (self.folder / name).mkdir()
        return replace(self, folder=self.folder / name)

    # --- its files --------------------------------------------------------------------------------

    def write(self, name: str, lines: Iterable[str]) -> Path:
        """A text file of these lines."""
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def key_file(self, key: str, name: str = "api.key") -> Path:
        """A private file that holds `key`."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(key + "\n")
        self.key_files.append(path)
        return path

    def files(self) -> list[str]:
        """The names of all files; some belong to SQLite while a reader is at work."""
        found = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        return sorted(name for name in found if not name.endswith(("-wal", "-shm")))

    # --- the workspace ----------------------------------------------------------------------------

    @property
    def bought(self) -> list[dict[str, Any]]:
        """The inputs of every run that was submitted, in order."""
        return [run.inputs for run in self.world.workspace.runs]

    @property
    def requests(self) -> int:
        """All accepted requests."""
        return self.world.workspace.requests.total()

    def rotate_key(self) -> str:
        """Ask for a new key; the old one is void at once."""
        headers = {"X-API-KEY": self.world.api_key}
        answer = httpx2.post(f"{self.world.base_url}/api-key/rotate", headers=headers)
        key: str = answer.json()["api_key"]
        self.secrets.append(key)
        return key

    # --- at the end -------------------------------------------------------------------------------

    def clear(self) -> None:
        """End what still runs, and look through everything that was said and written."""
        for life in self._lives:
            if life.process.stdout is not None and not life.process.stdout.closed:
                life.process.kill()
                life.end()
        forms = [form for secret in self.secrets for form in disguises(secret)]
        for said in self.said:
            assert_clean("what was said", (said.out + said.err).encode(), forms)
            assert "\x1b" not in said.out + said.err, f"escape sequences:\n{said.out}\n{said.err}"
            assert "Traceback" not in said.err, said.err
            assert "enricher broke" not in said.err, said.err
        for path in (*self.folder.rglob("*"), *self.state.rglob("*")):
            if path.is_file() and path not in self.key_files:
                assert_clean(str(path), content_of(path), forms)


@contextmanager
def desk_in(
    folder: Path, others: Sequence[Mapping[str, Any]] = (), **settings: Any
) -> Iterator[Desk]:
    """A desk with a fresh workspace; runs last 0.2 s and no limit holds unless told otherwise.

    `others` are settings of more workspaces on the same server, as far as they differ.
    """
    place = folder / "Büro d'été"
    place.mkdir()
    more = tuple(world_settings(**{**settings, **one}) for one in others)
    with running_simulator(World(bitscale=world_settings(**settings), others=more)) as world:
        secrets = [KEY, *(one.api_key for one in more)]
        desk = Desk(place, world, folder / "state", secrets)
        yield desk
        desk.clear()


def world_settings(duration: str = "constant:0.2", **settings: Any) -> Settings:
    defaults = {"rate": None, "api_key": KEY}
    return Settings(duration=parse_duration(duration), **{**defaults, **settings})


def content_of(path: Path) -> bytes:
    if path.suffix == ".parquet":  # compressed
        return repr(pl.read_parquet(path).to_dicts()).encode()
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        with ZstdFile(path) as packed:
            return packed.read()
    return content


# --- waiting --------------------------------------------------------------------------------------


def until(condition: Callable[[], T], what: str) -> T:
    """Wait until `condition` gives something true, and return that.

    Another process does not tell when it has got on, so this looks again and again.
    """
    never = threading.Event()
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        never.wait(0.004)
    return found


# --- tables and values ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Cells:
    """A CSV file as a reader sees it."""

    header: list[str]
    rows: list[list[str]]

    def column(self, name: str) -> list[str]:
        return [row[self.header.index(name)] for row in self.rows]

    def records(self) -> list[dict[str, str]]:
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]


def cells(path: Path) -> Cells:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, strict=True)
    assert all(len(row) == len(header) for row in rows)
    return Cells(header, rows)


def answers(grid: Grid, inputs: Mapping[str, Any], columns: Any = None) -> list[Any]:
    """The right values of a run, in the grid's order."""
    return [output["value"] for output in outputs_for(grid, inputs, columns).values()]


def assert_reads_as(cell: str, value: Any) -> None:
    """A CSV cell must hold `value`: text as it is, null as nothing, all else as JSON."""
    if value is None or isinstance(value, str):
        assert cell == (value or "")
    else:
        found = json.loads(cell)
        assert (found, type(found)) == (value, type(value))


def items(checkpoint: Path) -> list[dict[str, Any]]:
    """What any SQLite browser shows of a checkpoint; nothing of one that is still being made."""
    uri = f"file:{quote(str(checkpoint))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM readable_items")]
    except sqlite3.OperationalError:
        return []
