"""Which encoding a text file is in, and its bytes as UTF-8.

A byte order mark decides. Without one, a file is UTF-8 if at least nine of ten lines with bytes
beyond ASCII are UTF-8; the others are refused by their line when the file is read. Else it is
Windows-1252. That takes one pass over the bytes before anything else is read, at the speed of the
decoder; lines are counted only where some line is not UTF-8.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from enricher.errors import InputError
from enricher.source.lines import BLOCK, whole_lines
from enricher.source.stored import StoredFile

UTF_8, WINDOWS = "utf-8", "cp1252"

_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_OTHER_FORMATS = (
    (re.compile(rb"PK\x03\x04"), "an Excel workbook or another zip file"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an old Excel workbook (.xls)"),
    (re.compile(rb"PAR1"), "a Parquet file"),
    (re.compile(rb"\x1f\x8b\x08"), "a gzip file"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "a zstd file"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "a bzip2 file"),
    (re.compile(rb"\xfd7zXZ\x00"), "an xz file"),
)

_ENOUGH = 0.9
"""The share of UTF-8 lines from which on a file is UTF-8 with mistakes in it."""

_FROM_WIDE_BYTE = re.compile(rb"[\x80-\xff][^\r\n]*")
"""The rest of a line from its first byte beyond ASCII on."""

_SAMPLE = 40


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes of a file are to be read.

    Attributes:
        name: a codec of Python.
        mark: the length in bytes of the byte order mark that the file begins with.
        sample: text around the first character that the guess decides; empty where it is no guess.
    """

    name: str
    mark: int = 0
    sample: str = ""

    @property
    def had_bom(self) -> bool:
        """Whether the same text in UTF-8 should begin with a mark: it did, or was not UTF-8."""
        return self.mark > 0 or self.name not in (UTF_8, "ascii")

    def remarks(self, shown: str) -> tuple[str, ...]:
        """The guess, if it is one, and what it makes of the text."""
        if not self.sample:
            return ()
        return (
            f"{shown} is not UTF-8 and is read as Windows-1252, in which it says"
            f' "{self.sample}"; if that is wrong, name the right one with --encoding',
        )


def find_encoding(stored: StoredFile, wanted: str | None) -> Encoding:
    """Tell the encoding of a file: `wanted`, or what its bytes show.

    Raises:
        InputError: it is no text file, is empty, or cannot be read.
    """
    with stored.opened() as file:
        head = file.read(1024)
    _check_head(stored.shown, head)
    mark, marked = next(((m, name) for m, name in _MARKS if head.startswith(m)), (b"", ""))
    if wanted is not None:
        name = codecs.lookup(wanted).name
        name = {"utf-8-sig": UTF_8, "utf-16": marked or name, "utf-32": marked or name}.get(
            name, name
        )
        return Encoding(name, len(mark) if name == marked else 0)
    if marked:
        return Encoding(marked, len(mark))
    if _is_every_other_byte_nul(head):
        raise InputError(
            f"{stored.shown} is probably UTF-16 without a byte order mark",
            mend="Say so with --encoding utf-16-le (or utf-16-be), or save it again as UTF-8.",
        )
    return _told_by_lines(stored)


def _told_by_lines(stored: StoredFile) -> Encoding:
    with stored.unchanged(), stored.opened() as file:
        if all(map(_is_utf8, whole_lines(stored.shown, _blocks(file)))):
            return Encoding(UTF_8)
    wide = good = 0
    sample = ""
    with stored.unchanged(), stored.opened() as file:
        for chunk in whole_lines(stored.shown, _blocks(file)):
            for found in () if chunk.isascii() else _FROM_WIDE_BYTE.finditer(chunk):
                is_good = _is_utf8(found[0])
                wide += 1
                good += is_good
                if not is_good and not sample:
                    sample = _around(chunk, found.start())
    return Encoding(UTF_8) if good >= wide * _ENOUGH else Encoding(WINDOWS, sample=sample)


def text_blocks(stored: StoredFile, file: BinaryIO, encoding: Encoding) -> Iterator[bytes]:
    """The rest of a file that was opened just now, as blocks of UTF-8 without the mark.

    What claims to be UTF-8 is not looked at: whoever decodes it names the line of a mistake.

    Raises:
        InputError: bytes that are not of the encoding; names the line.
    """
    file.read(encoding.mark)
    if encoding.name == UTF_8:
        return _blocks(file)
    return _transcoded(stored.shown, _blocks(file), encoding.name)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.read(BLOCK), b"")


def _transcoded(shown: str, blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(name)()
    lines, is_after_cr = 0, False
    for block in _with_end(blocks):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(name, "replace")
            where = f"{shown}, line {lines + _line_ends(before) + 1}"
            raise _undecodable(where, name, error, at_end=not block) from None
        lines += _line_ends(text) - (is_after_cr and text.startswith("\n"))
        is_after_cr = text.endswith("\r") if text else is_after_cr
        yield text.encode("utf-8", "surrogatepass")


def _with_end(blocks: Iterable[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b""


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _undecodable(where: str, name: str, error: UnicodeDecodeError, *, at_end: bool) -> InputError:
    if at_end:
        return InputError(
            f"{where}: the file ends in the middle of a character; it was probably cut short",
            mend="Export or copy the file again.",
        )
    wrong = error.object[error.start : error.start + 4].hex(" ")
    return InputError(
        f"{where}: bytes that are not {'Windows-1252' if name == WINDOWS else name} ({wrong})",
        mend="Name the right encoding with --encoding, or save the file again as UTF-8.",
    )


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _around(chunk: bytes, position: int) -> str:
    """The text around a byte, in its line."""
    begin = max(chunk.rfind(b"\n", 0, position), chunk.rfind(b"\r", 0, position)) + 1
    line = re.split(rb"[\r\n]", chunk[begin : position + _SAMPLE], maxsplit=1)[0]
    return line[-2 * _SAMPLE :].decode(WINDOWS, "replace").strip()


def _check_head(shown: str, head: bytes) -> None:
    if not head:
        raise InputError(
            f"{shown} is empty (0 bytes), without even a header",
            mend="Was it exported or copied to the end? Make it again.",
        )
    for begin, name in _OTHER_FORMATS:
        if begin.match(head):
            raise InputError(
                f"{shown} is {name}, whatever its name says; not text",
                mend="Give it the extension of its kind, or save it as CSV.",
            )


def _is_every_other_byte_nul(head: bytes) -> bool:
    """Whether this is UTF-16 of mostly Latin text; single NULs, or nothing else, are not."""
    fewer, more = sorted((head[0::2].count(0), head[1::2].count(0)))
    return more > 4 and more * 3 > len(head) and fewer * 4 < more
