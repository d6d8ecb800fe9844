"""Mistakes to switch on one at a time: a harness that misses one of them is blind.

This is the one place where our own classes are patched, for that is what a mistake does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from enricher import pace, reactions
from enricher.api import shift
from enricher.api.engines import NOTHING
from enricher.checkpoint import Committer, Store, store
from enricher.engine import exchange
from enricher.feed import RowFlow
from enricher.mapping import KeyMaker
from enricher.model import Doubted, Event, Failed, GotId, Intended, State, Withdrew
from enricher.pace import gate
from enricher.providers import bitscale, keyed
from enricher.providers.transport import Transport
from enricher.reactions import Again, Reaction
from enricher.schedule import Schedule
from enricher.verdicts import (
    Done,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    Refused,
    RunFailed,
    StillRunning,
)

Switch = Callable[[], AbstractContextManager[object]]


@contextmanager
def swapped(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    """`owner.name` is `wrong` for a while."""
    right = vars(owner)[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def both(*switches: AbstractContextManager[object]) -> AbstractContextManager[object]:
    stack = ExitStack()
    for switch in switches:
        stack.enter_context(switch)
    return stack


def answer_means(verdict: type, follows: Callable[[bytes], Reaction]) -> Switch:
    """What a submission's answer of this kind leads to, wrongly."""

    def wrong(key: bytes, found: Any, refusals: Any) -> Reaction:
        return follows(key) if isinstance(found, verdict) else right(key, found, refusals)

    right = reactions.after_submission
    return lambda: swapped(exchange, "after_submission", wrong)


def again(key: bytes) -> Reaction:
    return Reaction(Withdrew(key), Again.AFTER_BACKOFF)


# --- the journal ---------------------------------------------------------------------------------


def intent_not_awaited() -> AbstractContextManager[object]:
    async def wrong(self: Committer, event: Event) -> bool:
        if not isinstance(event, Intended):
            return await right(self, event)
        self.post(event)
        return True

    right = Committer.write
    return swapped(Committer, "write", wrong)


def id_only_in_memory() -> AbstractContextManager[object]:
    async def wrong(self: Committer, event: Event) -> bool:
        return isinstance(event, GotId) or await right(self, event)

    right = Committer.write
    return swapped(Committer, "write", wrong)


def acknowledged_before_written() -> AbstractContextManager[object]:
    async def wrong(self: Any) -> None:
        while self._gathering:
            group, self._gathering = self._gathering, []
            self._settle(group, [True] * len(group))
            await self._run(partial(self._apply, [event for event, _ in group]))

    return swapped(Committer, "_commit_groups", wrong)


def last_of_a_group_lost() -> AbstractContextManager[object]:
    def wrong(self: Any, events: Sequence[Event]) -> list[bool]:
        keep = max(1, len(events) - 1)
        return [*right(self, events[:keep]), *[True] * (len(events) - keep)]

    right = Store.apply
    return swapped(Store, "apply", wrong)


def orphans(sql: str) -> Switch:
    """What becomes of submissions that a dead process left without an answer."""

    def wrong(self: Any, state: State, where: str, arguments: Any, code: str, message: str) -> int:
        if message != store.ORPHANED:
            return right(self, state, where, arguments, code, message)
        return int(self._sql.execute(sql, (State.SUBMITTING,)).rowcount)

    right = Store._end
    return lambda: swapped(Store, "_end", wrong)


def intent_without_guard() -> AbstractContextManager[object]:
    def wrong(self: Any, events: Sequence[Event]) -> list[bool]:
        for event in events:
            if isinstance(event, Intended):
                self._sql.execute("DELETE FROM items WHERE key = ?", (event.item.key,))
        return right(self, events)

    right = Store.apply
    return swapped(Store, "apply", wrong)


# --- the pace ------------------------------------------------------------------------------------


def burst() -> AbstractContextManager[object]:
    def wrong(self: Any) -> float:
        return float(self._paused_until)

    return both(swapped(pace.Gate, "_allowed_at", wrong), swapped(gate, "_BATCH_ABOVE", 1.0))


def restart_at_once() -> AbstractContextManager[object]:
    def wrong(self: Any, *args: Any, **more: Any) -> None:
        right(self, *args, **more)
        self._paused_until = 0.0

    right = pace.Gate.__init__
    return swapped(pace.Gate, "__init__", wrong)


def counted_when_allowed() -> AbstractContextManager[object]:
    async def wrong(self: pace.Gate) -> pace.GatePermit:
        permit = await right(self)
        permit.sent()
        return permit

    right = pace.Gate.acquire
    return swapped(pace.Gate, "acquire", wrong)


def limit_not_heard() -> AbstractContextManager[object]:
    return swapped(pace.Gate, "_hear_limit", lambda *_: None)


def wait_not_heard() -> AbstractContextManager[object]:
    def wrong(self: pace.Gate, signal: Any, sent_at: float) -> None:
        right(self, replace(signal, retry_after=None, limited=False), sent_at)

    right = pace.Gate.observe
    return swapped(pace.Gate, "observe", wrong)


def breaker_that_never_opens() -> AbstractContextManager[object]:
    return swapped(pace.Breaker, "_open", lambda *_: None)


# --- the provider --------------------------------------------------------------------------------


def broken_is_not_sent() -> AbstractContextManager[object]:
    async def wrong(self: Transport, *args: Any, **more: Any) -> Any:
        answer = await right(self, *args, **more)
        return NotSent(answer.reason) if isinstance(answer, MaybeSent) else answer

    right = Transport.exchange
    return swapped(Transport, "exchange", wrong)


def poll_url_followed() -> AbstractContextManager[object]:
    urls: dict[str, str] = {}

    def remember(answer: Any, body: Any) -> Any:
        if isinstance(body, dict) and "poll_url" in body:
            urls[f"/run/status/{body.get('request_id')}"] = body["poll_url"]
        return right_meaning(answer, body)

    async def wrong(self: Any, method: str, path: str, **more: Any) -> Any:
        ours = self._base_url
        self._base_url = urls.get(path, ours + path).removesuffix(path)
        work = right(self, method, path, **more)
        try:
            return await work
        finally:
            self._base_url = ours

    right, right_meaning = Transport.exchange, bitscale._of_submission
    return both(
        swapped(Transport, "exchange", wrong), swapped(bitscale, "_of_submission", remember)
    )


def redirect_followed() -> AbstractContextManager[object]:
    def wrong(self: Any, *args: Any, **more: Any) -> None:
        right(self, *args, **more)
        self._client.follow_redirects = True

    right = Transport.__init__
    return swapped(Transport, "__init__", wrong)


def key_not_blackened() -> AbstractContextManager[object]:
    return swapped(keyed, "blackened", lambda value, _: value)


def unknown_status_fails() -> AbstractContextManager[object]:
    def wrong(body: Any) -> Any:
        verdict = right(body)
        odd = isinstance(verdict, StillRunning) and verdict.remark
        return RunFailed("UNKNOWN_STATUS", odd) if odd else verdict

    right = bitscale._of_run
    return swapped(bitscale, "_of_run", wrong)


def any_id_is_taken() -> AbstractContextManager[object]:
    class Anything:
        @staticmethod
        def fullmatch(text: str) -> bool:
            return True

    return swapped(bitscale, "SAFE_ID", Anything)


# --- rows ----------------------------------------------------------------------------------------


def results_crossed() -> AbstractContextManager[object]:
    before: list[Done] = []

    def wrong(key: bytes, verdict: Any, **more: Any) -> Reaction:
        if isinstance(verdict, Done):
            before.append(verdict)
            verdict = before[-2] if len(before) > 1 else verdict
        return right(key, verdict, **more)

    right = reactions.after_look
    return swapped(exchange, "after_look", wrong)


def last_batch_lost() -> AbstractContextManager[object]:
    def wrong(self: RowFlow, lookup: Any) -> Any:
        return list(right(self, lookup))[:-1]

    right = RowFlow.outcomes
    return swapped(RowFlow, "outcomes", wrong)


def key_of_one_input() -> AbstractContextManager[object]:
    def wrong(self: KeyMaker, inputs: Any) -> bytes:
        return right(self, {**inputs, "website": ""})

    right = KeyMaker.key
    return swapped(KeyMaker, "key", wrong)


def equal_row_ends_the_first() -> AbstractContextManager[object]:
    def wrong(self: Any, key: bytes) -> None:
        self._open.pop(key, None)

    return swapped(Schedule, "closed", wrong)


# --- starts and stops ----------------------------------------------------------------------------


def nothing_recovered() -> AbstractContextManager[object]:
    return swapped(shift, "recovery_of", lambda *_: NOTHING)


def stop_takes_back_what_was_sent() -> AbstractContextManager[object]:
    return swapped(exchange, "Doubted", lambda key, _: Withdrew(key))


# --- the table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake; `says` what is wrong with it."""

    says: str
    switch: Switch


BUGS: dict[str, Bug] = {
    "blind retry": Bug(
        "a submission whose answer was lost is sent again", answer_means(MaybeSent, again)
    ),
    "malformed is resubmitted": Bug(
        "an answer that makes no sense counts as none", answer_means(Malformed, again)
    ),
    "RUN_FAILED is resubmitted": Bug(
        "a run that failed is bought again by itself", answer_means(RunFailed, again)
    ),
    "swallowed 401": Bug(
        "a refused key fails the row, not the job",
        answer_means(KeyRejected, lambda key: Reaction(Failed(key, "INVALID_API_KEY", ""))),
    ),
    "429 fails the row": Bug(
        "being told to wait is taken for a failure",
        answer_means(Refused, lambda key: Reaction(Failed(key, "RATE_LIMIT_EXCEEDED", ""))),
    ),
    "429 is a doubt": Bug(
        "a refusal is taken for a loss", answer_means(Refused, lambda key: _doubt(key))
    ),
    "no intent": Bug("the submission does not wait for its intent", intent_not_awaited),
    "id only in memory": Bug("the id is never on disk", id_only_in_memory),
    "acknowledged before written": Bug(
        "a group counts as durable when its commit begins", acknowledged_before_written
    ),
    "last of a group lost": Bug(
        "a group is committed but for its last event", last_of_a_group_lost
    ),
    "orphans are forgotten": Bug(
        "a submission without an answer is taken back at the next start",
        orphans("DELETE FROM items WHERE state = ?"),
    ),
    "orphans stay": Bug(
        "a submission without an answer stays as it is for ever",
        orphans("SELECT 1 FROM items WHERE state = ?"),
    ),
    "intent without guard": Bug(
        "an equal row that was looked up too early is bought again", intent_without_guard
    ),
    "burst": Bug("a limiter that lets a full bucket go, and then its refill", burst),
    "restart at once": Bug("the second before the start counts as free", restart_at_once),
    "counted when allowed": Bug(
        "a request counts from its permission, not from when it leaves", counted_when_allowed
    ),
    "limit not heard": Bug("the server's new limit is not followed", limit_not_heard),
    "wait not heard": Bug("Retry-After is not followed", wait_not_heard),
    "breaker never opens": Bug("an outage turns the file into doubt", breaker_that_never_opens),
    "broken is not sent": Bug(
        "a connection that breaks after the request counts as none", broken_is_not_sent
    ),
    "poll_url is followed": Bug("looks go where the answer says", poll_url_followed),
    "redirect is followed": Bug("the key is carried elsewhere", redirect_followed),
    "key not blackened": Bug("the server's words may repeat the key", key_not_blackened),
    "unknown status fails": Bug("a status of tomorrow fails the run", unknown_status_fails),
    "any id is taken": Bug("an id with a path in it leads elsewhere", any_id_is_taken),
    "results crossed": Bug("a result goes to another row", results_crossed),
    "last batch lost": Bug("the last page of outcomes is not written", last_batch_lost),
    "key of one input": Bug("rows of equal names share a result", key_of_one_input),
    "equal row ends the first": Bug(
        "a run with an equal row behind it is not waited for", equal_row_ends_the_first
    ),
    "nothing recovered": Bug("runs of an earlier life are not looked at", nothing_recovered),
    "stop takes back what was sent": Bug(
        "a second stop forgets submissions without an answer", stop_takes_back_what_was_sent
    ),
}


def _doubt(key: bytes) -> Reaction:
    return Reaction(Doubted(key, "told to wait"))
