"""Never more than N requests in any second, and as near to N as that allows.

`Gate` gives the permissions, `Breaker` tells when a server is better left alone, `Backoff` how long
to wait after the n-th fault.
"""

from enricher.pace.breaker import FAULTS_THAT_OPEN, Backoff, Breaker, patiently
from enricher.pace.gate import (
    DEFAULT_RATE,
    LEAST_MARGIN,
    MARGIN_STEP,
    MOST_MARGIN,
    NO_LIMIT,
    Gate,
    GatePermit,
    Permit,
    Permits,
)
from enricher.pace.sharing import Sharing

__all__ = [
    "DEFAULT_RATE",
    "FAULTS_THAT_OPEN",
    "LEAST_MARGIN",
    "MARGIN_STEP",
    "MOST_MARGIN",
    "NO_LIMIT",
    "Backoff",
    "Breaker",
    "Gate",
    "GatePermit",
    "Permit",
    "Permits",
    "Sharing",
    "patiently",
]
