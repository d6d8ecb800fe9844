"""How many rows of a table are held at once."""

_MOST_ROWS = 8_192
_MOST_CELLS = 1 << 18


def rows_per_batch(width: int) -> int:
    """8,192 rows, and from 33 columns on as many as make 262,144 cells (131 of 2,000 columns)."""
    return max(1, min(_MOST_ROWS, _MOST_CELLS // max(1, width)))
