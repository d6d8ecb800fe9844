"""Seeded chance: numbers that look random and are a pure function of what they are asked about."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def digest(*parts: object) -> bytes:
    """16 bytes that follow from the parts alone, in every process."""
    # Each part carries its length, so that ("ab", "c") and ("a", "bc") differ.
    texts = [str(part) for part in parts]
    material = "".join(f"{len(text)}:{text}" for text in texts)
    return blake2b(material.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def number(low: int, high: int, *parts: object) -> int:
    """An integer from low to high, both included."""
    return low + int.from_bytes(digest(*parts), "big") % (high - low + 1)


def fraction(*parts: object) -> float:
    """A float strictly between 0 and 1, so that an inverse distribution never meets its ends."""
    top_52_bits = int.from_bytes(digest(*parts)[:8], "big") >> 12
    return (top_52_bits + 0.5) / 2**52


def pick(choices: Sequence[T], *parts: object) -> T:
    """One of the choices."""
    return choices[number(0, len(choices) - 1, *parts)]
