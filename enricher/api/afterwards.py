"""What a provider is asked once the work is over: nothing hangs on it, so it is not waited for."""

from contextlib import suppress

from enricher.api.wiring import Prepared, word_of
from enricher.checkpoint import Pass
from enricher.errors import ProviderRefused, ServerGone
from enricher.model import Credits
from enricher.preflight import asker
from enricher.providers.base import Ask
from enricher.report.evidence import Evidence

PATIENCE = 10.0
"""Seconds for which each question is tried."""


async def balance_of(ready: Prepared) -> Credits | None:
    """What is left, and was used, if it can be learnt."""
    with suppress(ProviderRefused, ServerGone):
        return await ready.provider.balance(_ask(ready))
    return None


async def evidence_of(
    ready: Prepared, this_pass: Pass, attempts: tuple[int, int], credits: float | None
) -> Evidence:
    """How the account and the target changed, for the person who decides about the doubts.

    Args:
        attempts: submissions of the pass that were acknowledged, and that are in doubt.
        credits: what the pass has used, if it is known.
    """
    rows = None
    with suppress(ProviderRefused, ServerGone):
        rows = await ready.provider.rows(_ask(ready))
    before = this_pass.rows_before
    grown = None if rows is None or before is None else rows - before
    return Evidence(*attempts, grown, credits, word_of(ready.job))


def _ask(ready: Prepared) -> Ask:
    return asker(ready.gate, PATIENCE, ready.counts, lambda _: None)
