"""Bytes to lines of text.

Everything about encodings is here. Only UTF-8 is read, with or without a byte order mark; whatever
else is recognised is named in the error.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from enricher.errors import InputError

BOM = b"\xef\xbb\xbf"

_BLOCK = 1 << 18
"""Bytes asked of the file at a time."""

_LONGEST_LINE = 1 << 28
"""Bytes of one line that are accepted: beyond, it is no table, and memory would not hold it."""

_RESAVE = 'Save it again as "CSV UTF-8"'

_OTHER_ENCODINGS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_OTHER_FORMATS = (
    (b"PK\x03\x04", "an Excel workbook or another zip file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b\x08", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"BZh91AY&SY", "a bzip2 file"),
)


def skip_bom(path: Path, file: BinaryIO) -> bool:
    """Leave `file` where its text begins, and say whether it began with a byte order mark.

    Raises:
        InputError: the first bytes are those of another encoding or of another kind of file.
    """
    head = file.read(1024)
    for mark, name in _OTHER_ENCODINGS:
        if head.startswith(mark):
            raise _is_wide(path, name)
    if _is_every_other_byte_nul(head):
        raise _is_wide(path, "UTF-16 without a byte order mark")
    for mark, name in _OTHER_FORMATS:
        if head.startswith(mark):
            raise InputError(
                f"{path} is {name}, whatever its name says; not text",
                mend="Give it the extension of its kind, or save it as CSV.",
            )
    has_bom = head.startswith(BOM)
    file.seek(len(BOM) if has_bom else 0)
    return has_bom


def line_blocks(path: Path, file: BinaryIO) -> Iterator[list[str]]:
    """Yield the rest of `file` as lists of whole lines, each with its line end.

    A line ends with LF, CR or CR LF, and nothing else; the last may have no end.

    Raises:
        InputError: bytes that are not UTF-8, or a line of more than 256 MiB.
    """
    first = 1
    for data in _whole_lines(path, file):
        raw = data.splitlines(keepends=True)
        try:
            lines = [line.decode() for line in raw]
        except UnicodeDecodeError:
            raise _is_not_utf8(path, raw, first) from None
        first += len(lines)
        yield lines


def _whole_lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    pending: list[bytes] = []
    pending_size = 0
    while block := file.read(_BLOCK):
        # A CR at the very end may be half of a CR LF: it stays with what comes next.
        cut = 1 + max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1))
        if cut:
            yield b"".join([*pending, block[:cut]])
            pending, pending_size, block = [], 0, block[cut:]
        pending.append(block)
        pending_size += len(block)
        if pending_size > _LONGEST_LINE:
            raise InputError(
                f"{path} has a line of more than {_LONGEST_LINE >> 20} MiB",
                mend="Is it a table with one record a line? Export it again as CSV.",
            )
    if rest := b"".join(pending):
        yield rest


def _is_every_other_byte_nul(head: bytes) -> bool:
    """Whether this is UTF-16 of mostly Latin text; single NULs, or nothing else, are not."""
    fewer, more = sorted((head[0::2].count(0), head[1::2].count(0)))
    return more > 4 and more * 3 > len(head) and fewer * 4 < more


def _is_wide(path: Path, name: str) -> InputError:
    return InputError(
        f"{path} is encoded as {name}, which cannot be read yet",
        mend=f'{_RESAVE} (Excel calls the present form "Unicode Text").',
    )


def _is_not_utf8(path: Path, raw: list[bytes], first: int) -> InputError:
    for number, line in enumerate(raw, start=first):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return _explain_bytes(path, number, error)
    raise AssertionError("every line can be decoded")


def _explain_bytes(path: Path, number: int, error: UnicodeDecodeError) -> InputError:
    where = f"{path}, line {number}"
    if error.reason == "unexpected end of data" and error.end == len(error.object):
        return InputError(
            f"{where}: the file ends in the middle of a character; it was probably cut short",
            mend="Export or copy the file again.",
        )
    wrong = error.object[error.start : error.start + 4].hex(" ")
    around = error.object[max(0, error.start - 20) : error.start + 20]
    guess = around.decode("cp1252", "replace").strip()
    return InputError(
        f"{where}: bytes that are not UTF-8 ({wrong}); the file is probably in Windows-1252, "
        f'the text then being "{guess}"',
        mend=f"{_RESAVE} (or: iconv -f WINDOWS-1252 -t UTF-8).",
    )
