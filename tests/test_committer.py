"""Group commit: one contract over both runners, with a real checkpoint below."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from enricher.checkpoint import Committer, Reader, Store, in_thread, inline
from enricher.errors import CheckpointError, IllegalTransition
from enricher.model import Event, GotId, Intended, State, Withdrew
from tests.support import virtual
from tests.support.checkpoints import completed, item, writing

Work = Callable[[Committer], Awaitable[None]]


@dataclass
class Bench:
    """A committer over a store, with what went through it.

    `meanwhile` is called on the loop while a group is being written; `error` is what writing
    comes to from then on.
    """

    store: Store
    path: Path
    groups: list[list[Event]] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    meanwhile: Callable[[], Any] = lambda: None
    watch: Callable[[Event], Any] = lambda _: None
    error: Exception | None = None

    def run(self, work: Work) -> None:
        raise NotImplementedError

    def apply(self, events: Sequence[Event]) -> list[bool]:
        self.groups.append(list(events))
        if self.error is not None:
            raise self.error
        return self.store.apply(events)

    def hear(self, event: Event) -> None:
        self.heard.append(event)
        self.watch(event)

    def states(self, *keys: str) -> list[State | None]:
        """What another connection sees."""
        with Reader(self.path) as reader:
            found = reader.records([key.encode() for key in keys])
        return [found[key.encode()].state if key.encode() in found else None for key in keys]


class Threaded(Bench):
    """As in a real job."""

    def run(self, work: Work) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()

            async def meanwhile() -> None:
                self.meanwhile()

            def apply(events: Sequence[Event]) -> list[bool]:
                asyncio.run_coroutine_threadsafe(meanwhile(), loop).result(timeout=10)
                return self.apply(events)

            with ThreadPoolExecutor(1) as executor:
                await work(Committer(apply, in_thread(executor), self.hear))

        asyncio.run(main())


class Inline(Bench):
    """As in the simulations."""

    def run(self, work: Work) -> None:
        draw = random.Random(1)

        def delay() -> float:
            self.meanwhile()
            return draw.uniform(0.002, 0.09)

        async def main() -> None:
            await work(Committer(self.apply, inline(delay), self.hear))

        virtual.run(main())


@pytest.fixture(params=[Threaded, Inline])
def bench(request, tmp_path: Path) -> Iterator[Bench]:
    path = tmp_path / "job.db"
    with writing(path) as store:
        yield request.param(store, path)


def broken() -> CheckpointError:
    return CheckpointError("the disk is full", mend="free space on it")


class TestCommitter:
    def test_what_was_written_is_there_for_everybody(self, bench: Bench):
        async def work(journal: Committer) -> None:
            assert await journal.write(Intended(item("a")))
            assert bench.states("a") == [State.SUBMITTING]
            assert await journal.write(GotId(b"a", "run"))
            assert bench.states("a") == [State.RUNNING]

        bench.run(work)

    def test_the_order_is_kept(self, bench: Bench):
        keys = [f"k{n}" for n in range(20)]
        events: list[Event] = []
        for key in keys:
            events += [Intended(item(key)), GotId(key.encode(), "run"), completed(key, answer=1)]

        async def work(journal: Committer) -> None:
            for n, event in enumerate(events):
                if n % 7:
                    journal.post(event)
                else:
                    await journal.write(event)
            await journal.close()

        bench.run(work)
        assert bench.heard == events
        assert [event for group in bench.groups for event in group] == events
        assert bench.states(*keys) == [State.COMPLETED] * 20

    def test_many_posts_at_once_are_few_transactions(self, bench: Bench):
        async def work(journal: Committer) -> None:
            for n in range(500):
                journal.post(Intended(item(f"{n}")))
            await journal.close()

        bench.run(work)
        assert bench.states(*map(str, range(500))) == [State.SUBMITTING] * 500
        assert len(bench.groups) <= 2

    def test_many_writers_at_once_are_few_transactions(self, bench: Bench):
        async def work(journal: Committer) -> None:
            writes = (journal.write(Intended(item(f"{n}"))) for n in range(500))
            assert await asyncio.gather(*writes) == [True] * 500

        bench.run(work)
        assert len(bench.groups) <= 2

    def test_everyone_gets_the_result_of_their_own_event(self, bench: Bench):
        async def work(journal: Committer) -> None:
            writes = [journal.write(Intended(item(key))) for key in "abacab"]
            assert await asyncio.gather(*writes) == [True, True, False, True, False, False]

        bench.run(work)

    def test_watchers_hear_of_what_took_effect_after_it_is_on_disk(self, bench: Bench):
        seen: list[tuple[Event, State | None]] = []
        bench.watch = lambda event: seen.append((event, bench.states("a")[0]))

        async def work(journal: Committer) -> None:
            journal.post(Intended(item("a")))
            journal.post(Intended(item("a")))
            await journal.close()
            journal.post(GotId(b"a", "run"))
            journal.post(Intended(item("a")))
            await journal.close()

        bench.run(work)
        assert seen == [
            (Intended(item("a")), State.SUBMITTING),
            (GotId(b"a", "run"), State.RUNNING),
        ]

    def test_a_writer_goes_on_after_the_watchers_heard(self, bench: Bench):
        async def work(journal: Committer) -> None:
            await journal.write(Intended(item("a")))
            assert bench.heard == [Intended(item("a"))]

        bench.run(work)

    def test_closing_waits_for_everything(self, bench: Bench):
        keys = [f"{n}" for n in range(50)]

        async def work(journal: Committer) -> None:
            for key in keys:
                journal.post(Intended(item(key)))
                await asyncio.sleep(0)
            await journal.close()
            assert bench.states(*keys) == [State.SUBMITTING] * 50

        bench.run(work)

    def test_closing_what_was_never_used_returns(self, bench: Bench):
        async def work(journal: Committer) -> None:
            await journal.close()
            await journal.close()

        bench.run(work)
        assert bench.groups == []

    def test_what_comes_while_a_group_is_written_is_in_the_next_one(self, bench: Bench):
        late = [Intended(item("late")), Intended(item("too"))]

        async def work(journal: Committer) -> None:
            def meanwhile() -> None:
                bench.meanwhile = lambda: None
                for event in late:
                    journal.post(event)

            bench.meanwhile = meanwhile
            await journal.write(Intended(item("first")))
            await journal.close()

        bench.run(work)
        assert bench.groups == [[Intended(item("first"))], late]
        assert bench.states("first", "late", "too") == [State.SUBMITTING] * 3

    def test_what_a_watcher_posts_is_not_lost(self, bench: Bench):
        async def work(journal: Committer) -> None:
            def watch(event: Event) -> None:
                if isinstance(event, Intended) and len(event.item.key) < 10:
                    journal.post(Intended(item(event.item.key.decode() + "a")))

            bench.watch = watch
            await journal.write(Intended(item("a")))
            await journal.close()

        bench.run(work)
        keys = ["a" * length for length in range(1, 11)]
        assert bench.states(*keys) == [State.SUBMITTING] * 10

    def test_a_writer_that_is_cancelled_does_not_break_its_group(self, bench: Bench):
        async def work(journal: Committer) -> None:
            tasks = [asyncio.create_task(journal.write(Intended(item(key)))) for key in "abc"]
            bench.meanwhile = tasks[1].cancel
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [bool, asyncio.CancelledError, bool]
            await journal.close()
            assert await journal.write(GotId(b"b", "run"))

        bench.run(work)
        assert bench.states("a", "b", "c") == [State.SUBMITTING, State.RUNNING, State.SUBMITTING]
        assert len(bench.heard) == 4

    def test_closing_can_be_given_up_without_losing_anything(self, bench: Bench):
        async def work(journal: Committer) -> None:
            journal.post(Intended(item("a")))
            closing = asyncio.create_task(journal.close())
            bench.meanwhile = closing.cancel
            await asyncio.wait({closing})
            assert closing.cancelled()
            await journal.close()

        bench.run(work)
        assert bench.states("a") == [State.SUBMITTING]

    def test_a_failure_fails_every_writer_that_waits(self, bench: Bench):
        bench.error = broken()

        async def work(journal: Committer) -> None:
            late: list[asyncio.Task[bool]] = []

            def meanwhile() -> None:
                bench.meanwhile = lambda: None
                write = journal.write(Intended(item("late")))
                late.append(asyncio.get_running_loop().create_task(write))

            bench.meanwhile = meanwhile
            writes = [journal.write(Intended(item(key))) for key in "abc"]
            results = await asyncio.gather(*writes, return_exceptions=True)
            assert results == [bench.error] * 3
            assert await asyncio.gather(*late, return_exceptions=True) == [bench.error]

        bench.run(work)
        assert bench.heard == []
        assert bench.states("a", "b", "c", "late") == [None] * 4

    def test_after_a_failure_nothing_more_is_taken(self, bench: Bench):
        async def work(journal: Committer) -> None:
            await journal.write(Intended(item("before")))
            bench.error = broken()
            journal.post(Intended(item("lost")))
            with pytest.raises(CheckpointError, match="the disk is full"):
                await journal.close()
            bench.error = None
            with pytest.raises(CheckpointError, match="the disk is full"):
                journal.post(Intended(item("later")))
            with pytest.raises(CheckpointError, match="the disk is full"):
                await journal.write(Intended(item("later")))
            with pytest.raises(CheckpointError, match="the disk is full"):
                await journal.close()

        bench.run(work)
        assert bench.states("before", "lost", "later") == [State.SUBMITTING, None, None]
        assert len(bench.groups) == 2

    def test_a_move_that_is_forbidden_takes_its_whole_group_with_it(self, bench: Bench):
        async def work(journal: Committer) -> None:
            journal.post(Intended(item("a")))
            journal.post(Withdrew(b"unknown"))
            with pytest.raises(IllegalTransition):
                await journal.close()

        bench.run(work)
        assert bench.states("a") == [None]
        assert bench.heard == []
