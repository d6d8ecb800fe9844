"""What an invocation does before it works: count the rows, ask a person, say what to know."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from enricher.api.invocation import Invocation
from enricher.api.planning import check_consent
from enricher.api.remarks import (
    earlier,
    remarks_on,
    remarks_on_money,
    remarks_on_purchase,
    remarks_on_reading,
    remarks_on_target,
    seen_of,
    since_last,
)
from enricher.checkpoint import Store
from enricher.forecast import ASK_ABOVE, Census
from enricher.notice import EventName, Notice


async def counted(invocation: Invocation, census: Census | None) -> Census:
    """Count the rows, which also finds whatever cannot be read, before anything is bought.

    Args:
        census: what a reading of the input found just now, which a person has agreed to.

    Raises:
        InputError, InputChanged: a row cannot be read.
        CannotGoOn: the person does not agree.
    """
    ready, hooks, reader = invocation.ready, invocation.hooks, invocation.reader
    of_target = list(remarks_on_target(ready, reader))
    seen, stored = seen_of(ready, invocation.flow), reader.census(invocation.id)
    kept = _kept(invocation, seen, stored)
    found = kept or await _read(invocation, seen, census)
    before = None if kept else earlier(stored, seen)
    if census is None:
        check_consent(ready, found, hooks.consent, reader)
    to_submit = "counted before" if kept else f"{found.new_runs:,} new runs to submit"
    hooks.detail(Notice(EventName.STARTED, f"{found.total:,} rows, {to_submit}"))
    _remark(invocation, found, before)
    if found.new_runs:
        purchase = remarks_on_purchase(found, ready) if stored is None or before else ()
        of_purchase = await invocation.feeder.run(list, purchase)  # it may read on for a while
        for remark in (*of_target, *of_purchase, *remarks_on_money(ready)):
            hooks.warn(remark)
    return found


def _kept(
    invocation: Invocation, seen: Mapping[str, Any], stored: Mapping[str, Any] | None
) -> Census | None:
    """What an earlier reading of the very same file found, if that will do."""
    if stored is None or invocation.job.step:  # the rows of a later step may be others
        return None
    if stored["seen"] != seen or _asks_about(invocation, stored["census"]):
        return None
    return Census(**stored["census"])


async def _read(invocation: Invocation, seen: Mapping[str, Any], census: Census | None) -> Census:
    """Read the whole input once, unless that was done just now, and keep what it found."""
    if census is None or seen["wanted"]:
        census = await invocation.feeder.run(invocation.flow.census, invocation.lookup())
    found = {"seen": seen, "census": asdict(census)}
    await invocation.checkpoint.write(Store.save_census, invocation.id, found)
    return census


def _asks_about(invocation: Invocation, census: Mapping[str, Any]) -> bool:
    """Whether a person will be asked, who must hear what is still to be bought."""
    return invocation.hooks.consent is not None and census["new_runs"] > ASK_ABOVE


def _remark(invocation: Invocation, census: Census, before: Census | None) -> None:
    """Say what a person should know about what was read."""
    job, ready = invocation.job, invocation.ready
    invocation.account.since_last = since_last(census, before)
    of_reading = () if job.step else remarks_on_reading(job, ready.table, census)
    for remark in (*of_reading, *remarks_on(census, ready)):
        invocation.hooks.warn(remark)
