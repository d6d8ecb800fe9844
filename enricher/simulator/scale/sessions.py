"""Sessions: one run of a workflow each, and how it stands at any moment."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from enricher.simulator import draws
from enricher.simulator.messages import JsonObject, json_text
from enricher.simulator.scale.settings import Settings
from enricher.simulator.scale.workflows import Workflow


class SessionStatus(StrEnum):
    """The session status values."""

    STARTING = "starting"
    PENDING_WORK = "pending_work"
    PROCESSING = "processing"
    IDLE = "idle"
    ERRORED = "errored"
    INACTIVE = "inactive"


class CardStatus(StrEnum):
    """The card status values. `idle` of a card means the opposite of `idle` of a session."""

    IDLE = "idle"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ERRORED = "errored"


class SessionFate(Enum):
    """How a session will end, and the status it then has."""

    COMPLETED = SessionStatus.IDLE
    CARD_FAILED = "idle with an errored card"
    ERRORED = SessionStatus.ERRORED
    INACTIVE = SessionStatus.INACTIVE

    @property
    def status(self) -> SessionStatus:
        return SessionStatus.IDLE if self is SessionFate.CARD_FAILED else SessionStatus(self.value)


_FAILURES = (SessionFate.CARD_FAILED, SessionFate.ERRORED, SessionFate.INACTIVE)

_QUEUED_AT, _PROCESSING_AT = 0.1, 0.25
"""The shares of a session's time after which it is queued, and a card executes."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Kept for good."""

    id: str
    workflow: Workflow
    variables: Mapping[str, str]
    started_at: float
    ends_at: float
    fate: SessionFate
    failing_card: int

    def status(self, now: float) -> SessionStatus:
        if now >= self.ends_at:
            return self.fate.status
        progress = self._progress(now)
        if progress < _QUEUED_AT:
            return SessionStatus.STARTING
        return SessionStatus.PENDING_WORK if progress < _PROCESSING_AT else SessionStatus.PROCESSING

    def has_result(self, now: float) -> bool:
        return now >= self.ends_at and self.fate is SessionFate.COMPLETED

    @property
    def result_waits_until(self) -> float:
        """When a wait for the result ends by itself: only at `idle` and `errored`."""
        return math.inf if self.fate is SessionFate.INACTIVE else self.ends_at

    def cards(self, now: float) -> list[JsonObject]:
        """The cards as `GET /v1/sessions/:id` tells them."""
        return [
            _card(number, card_type, status)
            for number, (card_type, status) in enumerate(
                zip(self.workflow.cards, self._statuses(now), strict=True)
            )
        ]

    def _statuses(self, now: float) -> Iterator[CardStatus]:
        """Cards run one after another; the one behind the executing one is queued."""
        at, ended = self._card_at(now), now >= self.ends_at
        current, following = CardStatus.PROCESSING, CardStatus.PENDING
        if ended:
            failed = self.fate in (SessionFate.CARD_FAILED, SessionFate.ERRORED)
            current = CardStatus.ERRORED if failed else CardStatus.IDLE
            following = CardStatus.IDLE
        for number in range(len(self.workflow.cards)):
            if number < at:
                yield CardStatus.COMPLETED
            elif number == at:
                yield current
            else:
                yield following if number == at + 1 else CardStatus.IDLE

    def _card_at(self, now: float) -> int:
        """The number of the card that is executing, or failed; -1 before the first."""
        if now >= self.ends_at:
            completed = self.fate is SessionFate.COMPLETED
            return len(self.workflow.cards) if completed else self.failing_card
        progress = self._progress(now)
        if progress < _QUEUED_AT:
            return -2
        if progress < _PROCESSING_AT:
            return -1
        share = (progress - _PROCESSING_AT) / (1 - _PROCESSING_AT)
        return min(self.failing_card, math.floor(share * len(self.workflow.cards)))

    def _progress(self, now: float) -> float:
        return (now - self.started_at) / (self.ends_at - self.started_at)


def _card(number: int, card_type: str, status: CardStatus) -> JsonObject:
    card: JsonObject = {
        "id": f"card-{number}",
        "context": {"cardType": card_type},
        "status": status.value,
    }
    if status is CardStatus.COMPLETED:
        card["output"] = {}
    if status is CardStatus.ERRORED:
        card["errorMessage"] = f"The card {card_type} could not be run."
    return card


def session_fate(
    settings: Settings, workflow: Workflow, variables: Mapping[str, str]
) -> SessionFate:
    """How a session of these variables ends, every time."""
    about = (settings.seed, workflow.id, json_text(dict(variables)))
    if draws.fraction("fate", *about) >= settings.fail_rate:
        return SessionFate.COMPLETED
    return draws.pick(_FAILURES, "form of failure", *about)


def new_session(
    settings: Settings, workflow: Workflow, variables: Mapping[str, str], number: int, now: float
) -> Session:
    """The session of this number since the start."""
    about = (settings.seed, workflow.id, json_text(dict(variables)))
    fate = session_fate(settings, workflow, variables)
    last = len(workflow.cards) - 1
    completes = fate is SessionFate.COMPLETED
    return Session(
        id=f"compass-sess-{draws.digest('session', settings.seed, number).hex()}",
        workflow=workflow,
        variables=variables,
        started_at=now,
        ends_at=now + settings.duration.seconds(draws.fraction("duration", *about)),
        fate=fate,
        failing_card=last if completes else draws.number(0, last, "failing card", *about),
    )
