"""Blocks of UTF-8 to lines of text. `encodings.py` makes them from whatever a file holds."""

from collections.abc import Iterable, Iterator

from enricher.errors import InputError

BLOCK = 1 << 18
"""Bytes asked of the file at a time."""

_LONGEST_LINE = 1 << 28
"""Bytes of one line that are accepted: beyond, it is no table, and memory would not hold it."""


def line_blocks(shown: str, blocks: Iterable[bytes]) -> Iterator[list[str]]:
    """Yield what the blocks hold as lists of whole lines, each with its line end.

    A line ends with LF, CR or CR LF, and nothing else; the last may have no end.

    Raises:
        InputError: bytes that are not UTF-8, or a line of more than 256 MiB.
    """
    first = 1
    for data in whole_lines(shown, blocks):
        raw = data.splitlines(keepends=True)
        try:
            lines = [line.decode() for line in raw]
        except UnicodeDecodeError:
            raise _is_not_utf8(shown, raw, first) from None
        first += len(lines)
        yield lines


def whole_lines(shown: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut the blocks anew, so that each ends with a line.

    Raises:
        InputError: a line of more than 256 MiB.
    """
    pending: list[bytes] = []
    pending_size = 0
    for block in blocks:
        # A CR at the very end may be half of a CR LF: it stays with what comes next.
        cut = 1 + max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1))
        if cut:
            yield b"".join([*pending, block[:cut]])
            pending, pending_size, block = [], 0, block[cut:]
        pending.append(block)
        pending_size += len(block)
        if pending_size > _LONGEST_LINE:
            raise InputError(
                f"{shown} has a line of more than {_LONGEST_LINE >> 20} MiB",
                mend="Is it a table with one record a line? Export it again as CSV.",
            )
    if rest := b"".join(pending):
        yield rest


def _is_not_utf8(shown: str, raw: list[bytes], first: int) -> InputError:
    for number, line in enumerate(raw, start=first):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return _explain_bytes(shown, number, error)
    raise AssertionError("every line can be decoded")


def _explain_bytes(shown: str, number: int, error: UnicodeDecodeError) -> InputError:
    where = f"{shown}, line {number}"
    if error.reason == "unexpected end of data" and error.end == len(error.object):
        return InputError(
            f"{where}: the file ends in the middle of a character; it was probably cut short",
            mend="Export or copy the file again.",
        )
    wrong = error.object[error.start : error.start + 4].hex(" ")
    around = error.object[max(0, error.start - 20) : error.start + 20]
    guess = around.decode("cp1252", "replace").strip()
    return InputError(
        f"{where}: bytes that are not UTF-8 ({wrong}), as other lines of the file are; "
        f'in Windows-1252 the text would be "{guess}"',
        mend="Correct that line, or name the encoding of the whole file with --encoding.",
    )
