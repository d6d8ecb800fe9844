"""Faults on request: which requests go wrong, how, and whether they were processed all the same.

Chance is seeded, and numbered by request: the same requests in the same order meet the same faults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from enricher.simulator import draws


class Fault(StrEnum):
    """What can happen to a request; `MEANINGS` says what that is."""

    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    TRUNCATE = "truncate"
    SLOW = "slow"
    HANG = "hang"
    LIMITED = "429"
    BROKEN = "500"
    UNAVAILABLE = "503"
    HTML = "html"


MEANINGS: Mapping[Fault, str] = {
    Fault.DROP_BEFORE: "the connection breaks, and nothing was processed",
    Fault.DROP_AFTER: "processed; the connection breaks before the answer",
    Fault.TRUNCATE: "processed; the connection breaks in the middle of the answer",
    Fault.SLOW: "processed; the answer comes 10 s late",
    Fault.HANG: "processed; no answer comes, and the connection stays open",
    Fault.LIMITED: "not processed; 429 with Retry-After",
    Fault.BROKEN: "500; processed or not, one as often as the other",
    Fault.UNAVAILABLE: "not processed; 503 with Retry-After",
    Fault.HTML: "a gateway's page, 502; processed or not, one as often as the other",
}

_UNPROCESSED = frozenset({Fault.DROP_BEFORE, Fault.LIMITED, Fault.UNAVAILABLE})
_EITHER = frozenset({Fault.BROKEN, Fault.HTML})


@dataclass(frozen=True)
class Faults:
    """The share of requests that each fault strikes, of all APIs together; seeded."""

    shares: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0

    def of(self, number: int) -> Fault | None:
        """What happens to the request of this number."""
        if not self.shares:
            return None
        chance = draws.fraction("fault", self.seed, number)
        for fault, share in self.shares.items():
            if chance < share:
                return fault
            chance -= share
        return None

    def processes(self, fault: Fault | None, number: int) -> bool:
        """Whether the request of this number is processed in spite of its fault."""
        if fault in _EITHER:
            return draws.number(0, 1, "processed", self.seed, number) == 1
        return fault not in _UNPROCESSED


def parse_faults(spec: str, seed: int = 0) -> Faults:
    """Read a spec such as `drop_after=0.02,500=0.01`; ValueError says what is wrong with it."""
    shares: dict[Fault, float] = {}
    for part in filter(None, (part.strip() for part in spec.split(","))):
        name, _, text = part.partition("=")
        fault = _fault(name.strip())
        if fault in shares:
            raise ValueError(f"{name!r} stands there twice")
        shares[fault] = _share(part, text)
    if sum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"{spec!r} makes more than all requests go wrong: its shares exceed 1")
    return Faults(shares, seed)


def _fault(name: str) -> Fault:
    try:
        return Fault(name)
    except ValueError:
        kinds = "\n".join(f"  {fault:<12} {meaning}" for fault, meaning in MEANINGS.items())
        raise ValueError(f"{name!r} is no fault. Write KIND=SHARE,… with\n{kinds}") from None


def _share(part: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{part!r} needs a share from 0 to 1, as in drop_after=0.02")
    return share
