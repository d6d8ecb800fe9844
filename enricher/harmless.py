"""Foreign text made harmless: what cells and servers say, on a terminal and in a spreadsheet."""

import re
import unicodedata

FORMULA_BEGINS = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  # the full-width forms are meant
"""What may make a spreadsheet take a text for a formula."""

_PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def printable(text: str) -> str:
    """One harmless line: no control, escape or bidi characters, each replaced by U+FFFD."""
    return "".join(c if is_harmless(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def printable_lines(text: str) -> str:
    """The same for text of ours that has several lines, with foreign words in it."""
    return "\n".join(map(printable, text.split("\n")))


def is_harmless(character: str) -> bool:
    """Whether a terminal shows it as what it is, and nothing more happens."""
    category = unicodedata.category(character)
    return category[0] != "C" and category not in ("Zl", "Zp")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run `text` as a formula when it opens a CSV file.

    It does with what begins with `=` `+` `-` `@`, and with a tab or a line end, which some pass
    over; full-width forms count as the plain ones do. A plain number is a number.
    """
    return text[:1] in FORMULA_BEGINS and not _PLAIN_NUMBER.fullmatch(text)
