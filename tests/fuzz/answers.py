"""One malformed answer to one request of a small job: at most that one row is harmed.

The real HTTP client, engine, checkpoint and sink in virtual time; the bytes that go wrong come from
`hostile`. A seed is a whole case: which request is answered badly, once or ever again, and how.
"""

import asyncio
import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enricher import sink
from enricher.checkpoint import Reader
from enricher.errors import EnricherError
from enricher.mapping import resolve
from enricher.model import OutputColumn, RequestCounts, RowStatus, State
from enricher.pace import Gate
from enricher.preflight import asker
from enricher.providers.base import Provider
from enricher.providers.bitscale import BitScale, Target
from enricher.providers.http import Http
from enricher.providers.http_recipe import read_recipe
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.record import Outcome, Record
from enricher.simulator import GRIDS, Request, Response, Settings, outputs_for, parse_duration
from tests.fuzz.hostile import Bad, hostile
from tests.support import virtual
from tests.support.canary import KEY, assert_clean, disguises
from tests.support.lives import World, companies
from tests.support.network import BASE_URL, Raw, Trouble

ROWS = companies(5)
GRID = GRIDS[0]
COLUMNS = tuple(OutputColumn(column.id, column.name) for column in GRID.outputs)
LONGEST_JOB = 3 * 86_400.0
"""Seconds of virtual time; a server may ask for an hour's wait, and the client heeds that."""

MOST_LIVES = 4
FORMS = list(disguises(KEY))


def check(seed: int, folder: Path) -> None:
    """Work the case `seed` off; an `AssertionError`, or any other, is a finding."""
    rng = random.Random(f"answer {seed}")
    if rng.random() < 0.25:
        virtual.run(Briefed(rng, folder).work())
    else:
        virtual.run(Worked(rng, folder, told=seed % 3 == 0).work())
    for path in folder.rglob("*"):
        if path.is_file():
            assert_clean(str(path), path.read_bytes(), FORMS)


def head_of(request: Request) -> bytes:
    """The request as it stood on the wire."""
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


def new_world(folder: Path, *, told: bool = False) -> World:
    """A workspace; `told`: reached through the provider `http`, by a recipe."""
    settings = Settings(rate=50, duration=parse_duration("constant:2"), api_key=KEY)
    return (ToldWorld if told else World)(folder, settings, rate=50)


RECIPE = {
    "submit": f"/grids/{GRID.id}/run",
    "body": {"mode": "async", "inputs": {label: f"{{{label}}}" for label in ROWS[0]}},
    "key_header": "X-API-KEY",
    "id": "request_id",
    "poll": "/run/status/{id}",
    "status": "status",
    "running": ["running"],
    "done": ["completed"],
    "failed": ["failed"],
    "outputs": {column.id: f"outputs.{column.id}.value" for column in COLUMNS},
}


class ToldWorld(World):
    """The same workspace for somebody who has no provider for it, and tells `http` what to ask."""

    def provider(self, transport: Transport) -> Provider:
        recipe, mistakes = read_recipe(RECIPE)
        assert recipe, mistakes
        return Http(transport, ApiKey("K", None, {"K": KEY}), recipe)


# --- runs -------------------------------------------------------------------------------------


@dataclass
class Worked:
    """A job of five rows, one of which has bad luck with a submission or with its looks."""

    rng: random.Random
    folder: Path
    told: bool = False
    bad: list[Bad] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = new_world(self.folder, told=self.told)
        self.world.network.script = self.script
        self.to_submission = self.rng.random() < 0.5
        self.always = not self.to_submission and self.rng.random() < 0.3
        self.victim = self.rng.randrange(len(ROWS))
        self.is_over = False
        self.submitted: Counter[str] = Counter()
        self.path = ""

    def script(self, request: Request) -> Trouble | Raw | None:
        if request.method == "POST":
            self.submitted[request.body.decode()] += 1
        if self.is_over or not self._is_meant(request):
            return None
        self.is_over = not self.always
        right = self._right_answer(request)
        bad = hostile(self.rng, right, head_of(request))
        self.bad.append(bad)
        if self.to_submission and not bad.is_a_refusal and self.rng.random() < 0.5:
            self._handled(request)  # the server has worked it off, and answers nonsense
        return bad.raw

    def _is_meant(self, request: Request) -> bool:
        if request.path.startswith("/run/status/"):
            first = self.path or request.path
            if not self.to_submission and not self.path:
                self.path = first
            return not self.to_submission and request.path == self.path
        return (
            self.to_submission
            and request.method == "POST"
            and len(self.submitted) == self.victim + 1
        )

    def _right_answer(self, request: Request) -> object:
        if self.to_submission and self.rng.random() < 0.5:
            return {
                "mode": "async",
                "status": "running",
                "request_id": "r-1",
                "poll_url": "http://e/",
            }
        outputs = outputs_for(GRID, ROWS[0])
        return {"mode": "async", "status": "completed", "grid_id": GRID.id, "outputs": outputs}

    def _handled(self, request: Request) -> None:
        self.world.workspace.handle(request, asyncio.get_running_loop().time())

    async def work(self) -> None:
        lives = 1
        while stop := await self._life():
            self.is_over = True  # in the next life the server is well again
            lives += 1
            assert lives <= MOST_LIVES, f"stops again and again: {stop}"
        self._check()

    async def _life(self) -> object:
        async with asyncio.timeout(LONGEST_JOB):
            return await self.world.live(ROWS)

    def _check(self) -> None:
        records = [record for record in self.world.records(ROWS) if record]
        assert len(records) == len(ROWS), "a row was never submitted"
        harmed = [n for n, record in enumerate(records) if record.state is not State.COMPLETED]
        assert len(harmed) <= 1, f"rows {harmed} are harmed"
        bought = Counter(json.dumps(run.inputs) for run in self.world.workspace.runs)
        assert max(bought.values()) == 1, f"bought twice: {bought.most_common(1)}"
        if not any(bad.is_a_refusal for bad in self.bad):
            assert max(self.submitted.values()) == 1, "sent twice without a refusal"
        outcomes = [_shown(record) for record in records]
        wrong = [n for n, outcome in enumerate(outcomes) if not _is_right(ROWS[n], outcome)]
        assert len(wrong) <= 1, f"rows {wrong} hold something else"
        _write(self.folder, self.world, outcomes)


def _shown(record: Record) -> Outcome:
    """What the output shows, with the outputs and the server's words as they came."""
    done = record.state is State.COMPLETED
    status = RowStatus.COMPLETED if done else RowStatus.FAILED
    return Outcome(status, "" if done else f"{record.code}: {record.message}", record.outputs)


def _is_right(inputs: dict[str, str], outcome: Outcome) -> bool:
    right = {id_: output["value"] for id_, output in outputs_for(GRID, inputs).items()}
    return outcome.outputs == right


def _write(folder: Path, world: World, outcomes: Sequence[Outcome]) -> None:
    """What came must fit into both kinds of file, and into five rows of a CSV file."""
    import polars as pl

    with Reader(world.checkpoint) as reader:
        seen = reader.output_columns(reader.job())
    announced = {column.id for column in COLUMNS}
    columns = (*COLUMNS, *(column for column in seen if column.id not in announced))
    frame = pl.DataFrame({"0": [row["website"] for row in ROWS]})
    layout = sink.Layout(("website",), columns, excel_safe=True)
    for name in ("out.csv", "out.parquet"):
        sink.write(folder / name, layout, lambda: [(frame, outcomes)])
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, strict=True))
    assert [line[0] for line in lines[1:]] == [row["website"] for row in ROWS]
    assert {len(line) for line in lines} == {len(layout.names())}
    assert pl.read_parquet(folder / "out.parquet").height == len(ROWS)


# --- before money -----------------------------------------------------------------------------


@dataclass
class Briefed:
    """The free questions before a job; one of them is answered badly, once or ever again."""

    rng: random.Random
    folder: Path

    def __post_init__(self) -> None:
        self.world = new_world(self.folder)
        self.world.network.script = self.script
        self.meant = self.rng.choice(("/workspace", f"/grids/{GRID.id}", f"/grids/{GRID.id}/curl"))
        self.always = self.rng.random() < 0.5
        self.is_over = False
        self.warnings: list[str] = []

    def script(self, request: Request) -> Raw | None:
        assert request.method == "GET", "a submission before the preflight has passed"
        if self.is_over or request.path != self.meant:
            return None
        self.is_over = not self.always
        answer = self.world.workspace.handle(request, asyncio.get_running_loop().time())
        assert isinstance(answer, Response)
        return hostile(self.rng, json.loads(answer.body), head_of(request)).raw

    async def work(self) -> None:
        key = ApiKey("BITSCALE_API_KEY", None, {"BITSCALE_API_KEY": KEY})
        ask = asker(Gate(50, warn=self.warnings.append), 900, RequestCounts(), self.warnings.append)
        async with Transport(BASE_URL, network=self.world.network) as transport:
            provider = BitScale(transport, key, Target(GRID.id))
            try:
                async with asyncio.timeout(LONGEST_JOB):
                    briefing = await provider.brief(ask)
                mapping = resolve(briefing.labels, ("Company Name", "Website"), {}, {})
            except EnricherError as error:
                told = f"{error}"
            else:
                told = f"{briefing} {mapping.described()}"
                self._write(briefing.outputs)
        assert_clean("what is told", f"{told} {self.warnings}".encode(errors="replace"), FORMS)
        assert self.world.workspace.runs == ()

    def _write(self, outputs: tuple[OutputColumn, ...]) -> None:
        """Whatever the outputs are called, both kinds of file can be made, or it is told."""
        layout = sink.Layout(("a",), outputs)
        for name in ("out.csv", "out.parquet"):
            sink.check_layout(self.folder / name, layout)
            sink.write(self.folder / name, layout, list)
