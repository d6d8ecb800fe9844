"""One disaster from its first life to the last: the real job, killed and begun again.

A life is `enricher.api.running.run_job` itself. It dies between two steps of the event loop: the
disk is copied at that moment, the remains of the process are cleared away, and the copy is put
back, so that nothing which the clearing did is on it. The server goes on all the while.
"""

import asyncio
import contextlib
import gc
import hashlib
import math
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher.api import Hooks, Stop, StopCode, Summary, job_of
from enricher.api.outside import Outside, alone
from enricher.api.running import run_job
from enricher.errors import EnricherError
from enricher.source import batches
from tests.simulation.disaster import KEYS, Disaster, End, Moment, NewKey
from tests.simulation.loop import Crash, Loop, Overdue
from tests.simulation.oracle import csv_of
from tests.simulation.server import BASE_URL, GRID, Server
from tests.simulation.wire import Weather, Wire
from tests.simulation.witness import Witness

LONGEST_LIFE = 7200.0
"""Virtual seconds; whoever needs longer hangs."""

MOST_LIVES = 12
_SIGINT = 2
_EPOCH = 1.7e9
_ROUNDS = 200


@dataclass
class Life:
    """How a life ended: by itself with a summary or an error, or not.

    `works` are the pieces of work on the disk that were done in it.
    """

    number: int
    how: str
    steps: int = 0
    works: int = 0
    summary: Summary | None = None
    disk: dict[str, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return self.summary is not None and self.summary.exit_code in (0, 3)


def disk_for_tests() -> str | None:
    """Memory where there is some: what is lost with the power is not looked at here."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


class Story:
    """The lives of one job in a directory of its own.

    Args:
        clean: without any disaster, and as fast as can be: what the output should be.
    """

    def __init__(self, disaster: Disaster, folder: Path, *, clean: bool = False) -> None:
        self.disaster = disaster
        self.folder = folder
        self.loop = Loop(self._disk_delay)
        self.server = Server(disaster, clean)
        self.weather = Weather(disaster, self.loop.time)
        self.weather.is_calm = clean
        self.input = folder / "leads.csv"
        self.input.write_text(csv_of(disaster.rows), encoding="utf-8", newline="")
        self.key_file = folder / "key"
        options = disaster.options
        if clean:
            options = {"mode": "sync", "rate": "unlimited"}
        self.job = job_of(
            {
                "input": self.input,
                "grid": GRID.id,
                "api_key_file": self.key_file if disaster.key_in_file else None,
                **options,
            },
            {"BITSCALE_BASE_URL": BASE_URL},
        )
        self.witness = Witness(disaster, self.job.checkpoint, self.job.rate, self.loop.time)
        self.lives: list[Life] = []
        self.loop.set_exception_handler(self._unexpected)
        self._delays = disaster.rng("disk")
        self._give_key()

    def _disk_delay(self) -> float:
        return min(0.09, 0.002 + self._delays.expovariate(200.0))

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.witness.blame(f"nobody heard of it: {context.get('exception') or context['message']}")

    # --- from life to life -------------------------------------------------------------------

    def live(self, end: End | None = None) -> Life:
        """Begin the job, or go on with it, until `end` or its own."""
        self.witness.begin_life()
        self.witness.tell(f"--- life {self.witness.life} begins; to end: {end}")
        wire = Wire(self.disaster, self.server, self.weather, self.witness)
        life = Life(self.witness.life, "")
        overdue = self.loop.call_later(LONGEST_LIFE, lambda: self.loop.interrupt(kind=Overdue))
        stopping: list[Any] = []
        before, works = self.loop.steps, self.loop.works
        task = self.loop.create_task(self._run(wire, life, end, stopping))
        self._arm(end)
        try:
            self.loop.run_until_complete(task)
        except Crash:
            life.how = "killed"
        except Overdue:
            life.how = "overdue"
            self.witness.blame(f"it does not end within {LONGEST_LIFE:g} s")
        self._disarm()
        for handle in (overdue, *stopping):
            handle.cancel()
        if life.summary is not None:  # killed when all was said
            life.how = f"exit {life.summary.exit_code}"
        self.witness.tell(f"--- life {life.number}: {life.how}; {self.loop.steps - before} steps")
        life.steps, life.works = self.loop.steps - before, self.loop.works - works
        self.witness.end_life()
        life.disk = self._disk()
        self._clear_away(wire)
        self._put_back(life.disk)
        self.lives.append(life)
        return life

    async def _run(self, wire: Wire, life: Life, end: End | None, stopping: list[Any]) -> None:
        def ready(stop: Any) -> None:
            if end is not None and end.moment is Moment.SIGNAL:
                stopping.extend(self._signals(stop, end))

        hooks = Hooks(warn=life.warnings.append, ready=ready)
        environ = {"BITSCALE_API_KEY": self.server.key}
        outside = Outside(lambda: _EPOCH + self.loop.time(), wire, alone)
        try:
            summary = await run_job(self.job, environ, hooks, self.job.id, outside)
        except EnricherError as error:
            life.how = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            life.how = f"broke: {type(error).__name__}: {error}"
            if not wire.is_cut:
                self.witness.blame(life.how)
        else:
            life.summary = summary
            life.how = f"exit {summary.exit_code} {summary.reason or ''}".strip()

    def _signals(self, stop: Any, end: End) -> Iterator[asyncio.TimerHandle]:
        word = Stop(StopCode.SIGNAL, "SIGINT", _SIGINT)
        yield self.loop.call_later(end.count, stop, word)
        if math.isfinite(end.again):
            yield self.loop.call_later(end.count + end.again, stop, word)

    def wait(self, seconds: float) -> None:
        """Nobody is at work; the server is."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def mend(self) -> None:
        """A person has seen to what stops the job."""
        self.weather.is_mended = True
        self._give_key()

    def calm_down(self) -> None:
        """The disasters are over."""
        self.mend()
        self.weather.is_calm = True

    def plan_keys(self) -> None:
        """Let the keys change at their times."""
        for change in self.disaster.new_keys:
            self.loop.call_at(change.at, self.server.change_key)
            self._plan_file(change)

    def _plan_file(self, change: NewKey) -> None:
        at = max(0.0, change.at + change.delay)
        if self.disaster.key_in_file and math.isfinite(at):
            coming = KEYS[KEYS.index(self.server.key) + 1]
            self.loop.call_at(at, self._write_key, coming)

    def _give_key(self) -> None:
        if self.disaster.key_in_file:
            self._write_key(self.server.key)

    def _write_key(self, key: str) -> None:
        self.key_file.touch(0o600)
        self.key_file.write_text(f"{key}\n", encoding="utf-8")

    def close(self) -> None:
        self.witness.look_away()
        self._cancel(asyncio.all_tasks(self.loop))
        self.loop.close()

    # --- death -------------------------------------------------------------------------------

    def _arm(self, end: End | None) -> None:
        if end is None or end.moment is Moment.SIGNAL:
            return
        count = int(end.count)
        if end.moment is Moment.STEP:
            self.loop.interrupt(count)
            return
        seen = 0

        def is_it() -> bool:
            nonlocal seen
            seen += 1
            if seen == count:
                self.loop.interrupt(end.steps)
            return seen == count

        match end.moment:
            case Moment.BEFORE_WORK:
                self.loop.on_work = lambda: not is_it()
            case Moment.AFTER_WORK:
                self.loop.on_worked = lambda: (is_it(), None)[1]
            case Moment.SUBMISSION:
                self.witness.on_submission = lambda: (is_it(), None)[1]
            case Moment.ANSWER:
                self.witness.on_answer = lambda: (is_it(), None)[1]

    def _disarm(self) -> None:
        self.loop.calm()
        self.loop.on_work, self.loop.on_worked = lambda: True, lambda: None
        self.witness.on_submission = self.witness.on_answer = lambda: None

    def _disk(self) -> dict[str, bytes]:
        """Everything that a job may write, as it is now."""
        stay = {self.input.name, self.key_file.name}
        volatile = ("-shm", ".lock")
        return {
            path.name: path.read_bytes()
            for path in sorted(self.folder.iterdir())
            if path.name not in stay and not path.name.endswith(volatile)
        }

    def _clear_away(self, wire: Wire) -> None:
        """End the tasks of a dead client; what they do meanwhile reaches no disk and no server."""
        wire.is_cut = True
        self.loop.die()
        self.loop.call_soon(self.loop.stop)  # and a stop that an interruption left behind
        self.loop.run_forever()
        self.loop.set_exception_handler(lambda *_: None)
        self._cancel(asyncio.all_tasks(self.loop) - wire.answering)
        self.loop.set_exception_handler(self._unexpected)
        self.loop.live_again()

    def _cancel(self, tasks: set[asyncio.Task[Any]]) -> None:
        async def until_gone() -> None:
            me = asyncio.current_task()
            for _ in range(_ROUNDS):
                left = asyncio.all_tasks() - staying - {me}
                for task in left:
                    task.cancel()
                if not left:
                    return
                await asyncio.sleep(0)
            raise AssertionError("there are tasks that will not die")

        staying = asyncio.all_tasks(self.loop) - tasks
        self.loop.run_until_complete(until_gone())

    def _put_back(self, disk: dict[str, bytes]) -> None:
        stay = {self.input.name, self.key_file.name}
        for path in self.folder.iterdir():
            if path.name not in stay:
                path.unlink()
        for name, data in disk.items():
            (self.folder / name).write_bytes(data)
            (self.folder / name).chmod(0o600)


@contextlib.contextmanager
def told(disaster: Disaster, *, clean: bool = False) -> Iterator[Story]:
    """A story in a directory that is gone afterwards, in a world without other chance or haste."""
    rows = batches._MOST_ROWS
    random.seed(disaster.seed)  # of which the waits after faults are drawn
    gc.disable()  # or a collection, whenever it comes, would add a step
    # So that a short table has several batches.
    batches._MOST_ROWS = 1000 if clean else disaster.batch
    try:
        with tempfile.TemporaryDirectory(dir=disk_for_tests()) as folder:
            story = Story(disaster, Path(folder), clean=clean)
            try:
                yield story
            finally:
                story.close()
    finally:
        batches._MOST_ROWS = rows
        gc.enable()


def digest_of(story: Story) -> str:
    """Of everything that happened."""
    text = "\n".join([*story.witness.story, *(life.how for life in story.lives)])
    output = story.job.output.read_bytes() if story.job.output.exists() else b""
    return hashlib.sha256(text.encode() + output).hexdigest()[:16]
