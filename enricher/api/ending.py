"""What an invocation does after its work: write the files, keep and tell what became of it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial

from enricher.api.account import stop_code
from enricher.api.folding import Link, rows_now
from enricher.api.invocation import Invocation
from enricher.api.shift import stop_by
from enricher.api.steps import step_of
from enricher.api.wiring import Prepared, shown_columns, word_of
from enricher.api.writing import RowsWritten, Writer, files_at, remove_partial
from enricher.checkpoint import Store
from enricher.errors import InputChanged, ProviderRefused, ServerGone
from enricher.model import Credits, State, Stop, StopCode
from enricher.preflight import asker
from enricher.providers.base import Ask
from enricher.report.evidence import Evidence, evidence_lines
from enricher.report.summary import Summary

_NOBODY_ANSWERS = (StopCode.SERVER_GONE, StopCode.KEY_REVOKED, StopCode.SUPERSEDED)
"""Stops after which nothing more is asked: there would be no answer, or no permission."""

PATIENCE = 10.0
"""Seconds for which each question is tried: nothing hangs on its answer."""


async def ended(
    invocation: Invocation, stop: Stop | None, is_signalled: Callable[[], bool]
) -> Summary:
    """Write what there is, end the pass if all is done, and say what became of the job.

    Args:
        is_signalled: somebody waits for the process to end, and for nothing else.

    Raises:
        OutputError: a file cannot be written.
    """
    checkpoint, account = invocation.checkpoint, invocation.account
    is_refused = stop is not None and _code_of(stop, invocation) == 1
    if not is_refused:
        stop = await _write(invocation, stop)
    running = invocation.reader.unfinished(invocation.ready.context, State.RUNNING)
    account.in_flight = len(running)
    exit_code = _code_of(stop, invocation) if stop else account.exit_code()
    goes_on = stop is None and invocation.is_followed
    if stop is None and not goes_on:
        steps_before = invocation.job.chain()[: invocation.job.step]
        await checkpoint.write(Store.finish_pass, [job.id for job in steps_before])
    await checkpoint.save(account.now() if goes_on else account.ended(stop, exit_code))
    is_unanswered = stop is not None and (is_refused or stop.code in _NOBODY_ANSWERS)
    if not is_unanswered and not is_signalled():
        await _gather_evidence(invocation, await _ask_balance(invocation))
    summary = account.ended(stop, exit_code)
    if not goes_on:
        await checkpoint.save(summary)
        invocation.hooks.progress(summary)
    return summary


def _code_of(stop: Stop, invocation: Invocation) -> int:
    return stop_code(stop, has_answers=invocation.has_answers())


# --- the files -------------------------------------------------------------------------------


async def _write(invocation: Invocation, stop: Stop | None) -> Stop | None:
    """Write the output and the failures; returns the stop, which may be a changed input by now."""
    hooks, account = invocation.hooks, invocation.account
    try:
        await _write_rows(invocation, is_finished=stop is None)
    except InputChanged as changed:
        hooks.warn(f"no output was written: {changed.message}")
        stop = stop or stop_by(changed)
    if account.written and (kept := account.written.kept_old):
        hooks.warn(f"{kept} rows keep their old result: its refresh brought none")
    return stop


async def _write_rows(invocation: Invocation, *, is_finished: bool) -> None:
    """Write what there is to its files, or beside them while the job is not finished."""
    job, account, feeder = invocation.job, invocation.account, invocation.feeder
    if job.steps:
        account.written = await feeder.run(_count_own, invocation)
        if is_finished and invocation.is_followed:
            return
    for path in files_at(job, is_finished):
        await invocation.checkpoint.write(Store.claim_output, str(path))
    rows = await feeder.run(_write_files, invocation, is_finished)
    if job.steps:
        account.shown = rows
    else:
        account.written = rows


def _count_own(invocation: Invocation) -> RowsWritten:
    """What the rows of this step alone show."""
    ready, hooks = invocation.ready, invocation.hooks
    outcomes = partial(invocation.flow.outcomes, invocation.lookup())
    return Writer(ready.job, ready.table, (), outcomes, hooks.warn).write(None)


def _write_files(invocation: Invocation, is_finished: bool) -> RowsWritten:
    job, table, flow = invocation.job, invocation.ready.table, invocation.flow
    reader, lookup = invocation.checkpoint.feeder_reader, invocation.lookup(outputs=True)
    columns = shown_columns(reader, reader.job(invocation.id), flow, lookup)
    own = Link(step_of(job, columns), flow, lookup)
    with rows_now(reader, job, table, invocation.earlier, own) as shown:
        writer = Writer(job, table, shown.columns, shown.outcomes, invocation.hooks.warn)
        rows = writer.write_at(is_finished)
    if is_finished:
        remove_partial(job, reader)
    return rows


# --- what the provider tells now -------------------------------------------------------------


async def _ask_balance(invocation: Invocation) -> Credits | None:
    """What is left, and was used, if it can be learnt."""
    balance = None
    with suppress(ProviderRefused, ServerGone):
        balance = await invocation.ready.provider.balance(_ask(invocation.ready))
    if balance is not None:
        invocation.account.credits_after = balance.remaining
        purse = invocation.stops.purse
        purse.read(balance.used)
        await invocation.checkpoint.write(Store.save_spent, purse.spent)
    return balance


async def _gather_evidence(invocation: Invocation, balance: Credits | None) -> None:
    """Say how account and target changed, for the person who decides about the doubts."""
    this_pass = invocation.checkpoint.this_pass
    acknowledged, in_doubt = invocation.reader.attempts_of(this_pass.id)
    if not in_doubt or invocation.job.shard:  # other shards use account and target meanwhile
        return
    rows = None
    with suppress(ProviderRefused, ServerGone):
        rows = await invocation.ready.provider.rows(_ask(invocation.ready))
    before = this_pass.rows_before
    grown = None if rows is None or before is None else rows - before
    credits = invocation.stops.purse.spent.credits if balance else None
    evidence = Evidence(acknowledged, in_doubt, grown, credits, word_of(invocation.job))
    await invocation.checkpoint.write(Store.save_evidence, asdict(evidence))
    for line in evidence_lines(evidence):
        invocation.hooks.warn(line)


def _ask(ready: Prepared) -> Ask:
    return asker(ready.gate, PATIENCE, ready.counts, lambda _: None)
