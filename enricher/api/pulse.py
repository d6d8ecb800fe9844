"""The last half minute of a job: how fast it goes, and what went wrong most recently."""

import math
from collections import deque

from enricher.model import Completed, Doubted, Event, Failed, Stalled
from enricher.notice import EventName, Notice
from enricher.report.summary import Live

SPAN = 30.0
"""Seconds that are looked back."""

LEAST = 0.9
"""Seconds after which a pace can be told."""


class Pulse:
    """Hears every event that is on disk, and is asked for the picture of a moment."""

    def __init__(self) -> None:
        self._ended = 0
        self._errors: dict[str, int] = {}
        self._beats = deque[tuple[float, int, int]]()

    def hear(self, event: Event) -> Notice | None:
        """Take note of an event; returns what there is to tell of it to who wants every detail."""
        self._ended += isinstance(event, Completed | Failed | Stalled)
        match event:
            case Failed(_, code, message) | Stalled(_, code, message):
                self._count(code or "RUN_FAILED")
                words = f"{code}: {message}" if message else code
                return Notice(EventName.RUN_FAILED, f"a run failed: {words}")
            case Doubted(_, reason):
                self._count("IN_DOUBT")
                return Notice(EventName.RUN_IN_DOUBT, f"a submission is in doubt: {reason}")
        return None

    def _count(self, code: str) -> None:
        """The code that came last stands last."""
        self._errors[code] = self._errors.pop(code, 0) + 1

    def live(self, now: float, requests: int, rate: float, credits: float | None) -> Live:
        """The picture of this moment.

        Args:
            now: by the steady clock.
            requests: sent so far.
            rate: allowed a second.
            credits: what the account has left, as far as is known.
        """
        self._beats.append((now, self._ended, requests))
        while self._beats[0][0] < now - SPAN:
            self._beats.popleft()
        began, ended, sent = self._beats[0]
        seconds = now - began
        limited, tells = math.isfinite(rate), seconds >= LEAST
        return Live(
            runs_per_second=round((self._ended - ended) / seconds, 2)
            if tells and self._ended
            else None,
            rate=rate if limited else None,
            use=round((requests - sent) / seconds / rate, 3) if tells and limited else None,
            credits=credits,
            errors=dict(self._errors),
        )
