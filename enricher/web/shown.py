"""What there is to see at a moment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """Attributes:
    page: the whole page, as HTML.
    part: what of it changes, as HTML.
    metrics: in the Prometheus text format.
    """

    page: str
    part: str
    metrics: str
