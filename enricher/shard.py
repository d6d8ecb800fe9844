"""A part of a job: the rows that fall into it by what they send, whoever is asked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts, numbered from 0. Equal inputs have equal keys, and meet in one part.

    The keys are those of `mapping.placing`, and not the keys under which results are found.
    """

    index: int
    count: int

    def holds(self, key: bytes | None) -> bool:
        """Whether rows of this key belong to it; rows that send nothing belong to the first."""
        return (0 if key is None else number_of(key, self.count)) == self.index

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"


def number_of(key: bytes, count: int) -> int:
    """The number of the part that rows of this key belong to."""
    return int.from_bytes(key[-8:], "big") % count
