"""How long a job takes when runs are looked at, and when their submissions are held. Pure."""

import math
from dataclasses import dataclass

from enricher.schedule.looks import Load, Looks

CLEARLY = 0.75
LEAST_GAIN = 10.0
"""Seconds, and the share of the time, that a change must save."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job still needs: requests, and seconds."""

    requests: float
    seconds: float


def estimate(looks: Looks, load: Load, hold: float) -> Estimate:
    """What is left of a job; `hold` in seconds if submissions are held, else 0."""
    per_run = _requests_per_run(looks, hold)
    requests = load.to_come * per_run + load.in_flight * (0 if hold else looks.plan.looks)
    age = _age(looks, hold)
    waves = (load.to_come + load.in_flight) / load.most_in_flight * age
    last = load.to_come / load.rate + age if load.to_come or load.in_flight else 0.0
    return Estimate(requests, max(requests / load.rate, waves, last))


def holding_pays(looks: Looks, load: Load, hold: float) -> bool:
    """Whether held submissions would save time clearly."""
    if not hold or not load.to_come:
        return False
    held, polled = (_seconds_per_run(looks, load, seconds) for seconds in (hold, 0.0))
    saved = (polled - held) * load.to_come
    return held <= CLEARLY * polled and saved >= LEAST_GAIN


def _seconds_per_run(looks: Looks, load: Load, hold: float) -> float:
    return max(_requests_per_run(looks, hold) / load.rate, _age(looks, hold) / load.most_in_flight)


def _age(looks: Looks, hold: float) -> float:
    """Seconds that a run is in flight; one that outlasts the hold is looked at as any other."""
    if not hold:
        return looks.plan.age
    within = looks.durations.share_within(hold)
    return within * looks.durations.mean_within(math.inf) + (1 - within) * looks.plan.age


def _requests_per_run(looks: Looks, hold: float) -> float:
    if not hold:
        return 1 + looks.plan.looks
    return 1 + (1 - looks.durations.share_within(hold)) * looks.plan.looks
