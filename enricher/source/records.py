"""Lines of text to records: the grammar of CSV, and where in the file a mistake is.

The tokenizer is the standard library's, in its strict mode. Two things are added to it: the lines
of the records at hand are kept, so that an error names the line where the trouble begins; and a
quoted empty cell is told from an empty one, which the tokenizer reads as the same.
"""

import csv
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice

from enricher.errors import InputError
from enricher.formats import Ragged
from enricher.source.dialects import NAMES

LARGEST_CELL = 1 << 26
"""Characters of one cell that are accepted."""

_MOST_TEXT = 1 << 24
"""Characters after which a batch is closed, however few its rows."""

_ROWS_AT_ONCE = 256
"""Records held as lists: of many more, the garbage collector would make a third of the time."""

_LINE_END = re.compile(r"\r\n?|\n")

Column = list[str | None]


class Records:
    """The records of one pass, from the header on.

    Args:
        shown: what messages call the file.
        blocks: the lines of the file, line ends kept.
        delimiter: one character.
        ragged: what becomes of a record with more or fewer fields than the header.
    """

    def __init__(
        self,
        shown: str,
        blocks: Iterable[list[str]],
        delimiter: str,
        ragged: Ragged = Ragged.ERROR,
    ) -> None:
        if csv.field_size_limit() < LARGEST_CELL:
            csv.field_size_limit(LARGEST_CELL)  # of the process: only ever raised
        self.blank_lines = 0
        self.ragged_lines = 0
        self.line_end = ""
        self.at_end = False
        self._shown = shown
        self._delimiter = delimiter
        self._ragged = ragged
        self._cell = _cell_pattern(delimiter)
        self._two_quotes = _two_quotes_pattern(delimiter)
        self._header: tuple[str, ...] = ()
        self._kept = _KeptLines(blocks)
        self._reader = csv.reader(self._kept, delimiter=delimiter, strict=True)

    def header(self) -> tuple[str, ...]:
        """Read the first record that is not a blank line; `line_end` is known after it.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        names: list[str] = []
        while not names:
            before = self._reader.line_num
            try:
                names = next(self._reader)
            except StopIteration:
                raise InputError(
                    f"{self._shown} has no header: it holds blank lines only",
                    mend="The first line must name the columns.",
                ) from None
            except csv.Error as error:
                raise self._explained(error, before) from error
            self.blank_lines += not names
        self.line_end = self._end_of_line(self._reader.line_num)
        self._header = tuple(names)
        return self._header

    def _end_of_line(self, number: int) -> str:
        """What ends the line of that number; the rest of the batch at hand is looked at too."""
        line = self._kept.at(number - 1)
        end = line[len(line.rstrip("\r\n")) :]
        # A CR LF that went through a text mode on Windows once more is CR CR LF.
        return "\r\n" if end == "\r" and self._kept.at(number) == "\r\n" else end

    def next_columns(self, most: int) -> list[Column]:
        """Read up to `most` records, fewer where they are long, and return their columns.

        Without a record the columns are empty; at the end of the file `at_end` is true.

        Raises:
            InputError: a record has not as many fields as the header, or breaks the grammar.
        """
        self._kept.forget(self._reader.line_num)
        texts, starts = self._next_texts(most)
        columns = [[cell or None for cell in cells] if "" in cells else cells for cells in texts]
        for row, column in self._quoted_empties(starts):
            columns[column][row] = ""
        return columns

    def _next_texts(self, most: int) -> tuple[list[Column], list[int]]:
        """The cells by column, and for each record the number of lines that stand before it."""
        columns: list[Column] = [[] for _ in self._header]
        starts: list[int] = []
        rows: list[list[str]] = []
        width, reader, kept = len(self._header), self._reader, self._kept
        start = reader.line_num
        try:
            for row in reader:
                if len(row) == width or self._made_fit(row, start):
                    rows.append(row)
                    starts.append(start)
                start = reader.line_num
                if len(rows) == _ROWS_AT_ONCE:
                    _move(rows, columns)
                if len(starts) == most or kept.size > _MOST_TEXT:
                    break
            else:
                self.at_end = True
        except csv.Error as error:
            raise self._explained(error, start) from error
        _move(rows, columns)
        return columns, starts

    def _made_fit(self, row: list[str], start: int) -> bool:
        """Give a record as many fields as the header has; false if it is passed over.

        Raises:
            InputError: it has another number of fields, and nothing allows that.
        """
        if not row or self._kept.at(start).isspace():
            self.blank_lines += 1
            return False
        surplus = row[len(self._header) :]
        if self._ragged is Ragged.ERROR or (self._ragged is Ragged.PAD and any(surplus)):
            raise self._ragged_at(row, start)
        self.ragged_lines += 1
        row += [""] * (len(self._header) - len(row))
        del row[len(self._header) :]
        return self._ragged is Ragged.PAD

    def _quoted_empties(self, starts: list[int]) -> Iterator[tuple[int, int]]:
        """The places of cells that are written as two quotes. Few records are looked at twice."""
        lines = self._kept.numbers_with('""', self._two_quotes)
        for row in sorted({bisect_right(starts, line) - 1 for line in lines}):
            if row >= 0:
                end = starts[row + 1] if row + 1 < len(starts) else self._reader.line_num
                cells = self._cell.finditer(self._kept.text(starts[row], end))
                for column, cell in enumerate(islice(cells, len(self._header))):
                    if cell[1] == '""':
                        yield row, column

    # --- what is wrong, and where ------------------------------------------------------------

    def _ragged_at(self, row: list[str], start: int) -> InputError:
        found, wanted = len(row), len(self._header)
        fields = "field" if found == 1 else "fields"
        return InputError(
            f"{self._shown}, line {start + 1}: {found} {fields} where the header has {wanted}; "
            f"{self._likely_cause(row)}",
            mend="Correct that line, or leave such rows out with --ragged skip."
            if self._ragged is Ragged.PAD
            else "Correct that line, export again with quotes around text, or see --ragged.",
        )

    def _likely_cause(self, row: list[str]) -> str:
        delimiter = NAMES.get(self._delimiter, self._delimiter)
        other = next((mark for mark in NAMES if mark in self._header[0]), None)
        if len(self._header) == 1 and other:
            return f"the header looks separated by {NAMES[other]}s: --delimiter says so"
        if len(row) > len(self._header):
            if not any(row[len(self._header) :]):
                return f"probably a {delimiter} too many at the end of the line"
            return f"probably a {delimiter} inside a cell that is not in quotes"
        return "probably a line break inside a cell that is not in quotes, or a line cut short"

    def _explained(self, error: csv.Error, start: int) -> InputError:
        line, begins = self._reader.line_num, self._start_of_broken_cell(start)
        if self._kept.at_end:
            return InputError(
                f"{self._shown}, line {begins}: the quoted cell that begins here is never closed",
                mend="Add the closing quote, or write a quote that is text as two quotes.",
            )
        if "field limit" in str(error):
            return InputError(
                f"{self._shown}, line {begins}: the cell that begins here is longer than "
                f"{csv.field_size_limit():,} characters; probably a quote that is never closed",
                mend="Add the closing quote, or write a quote that is text as two quotes.",
            )
        began = f" of the cell that begins in line {begins}" if begins != line else ""
        return InputError(
            f"{self._shown}, line {line}: text after the closing quote{began}; "
            "probably a quote inside the cell that is not doubled",
            mend='Write a quote that is text as two quotes: "the ""best"" one".',
        )

    def _start_of_broken_cell(self, start: int) -> int:
        """The number of the line where the last cell begins of the record after `start` lines."""
        text = self._kept.text(start, None)
        position = 0
        while (cell := self._cell.match(text, position)) and cell.end() < len(text):
            position = cell.end()
        return start + len(_LINE_END.findall(text[:position])) + 1


class _KeptLines:
    """Gives lines to the tokenizer, and keeps those that were given until told to forget."""

    def __init__(self, blocks: Iterable[list[str]]) -> None:
        self.size = 0
        self.at_end = False
        self._lines: list[str] = []
        self._forgotten = 0
        self._given = self._give(blocks)

    def __iter__(self) -> Iterator[str]:
        return self._given

    def _give(self, blocks: Iterable[list[str]]) -> Iterator[str]:
        for block in blocks:
            self._lines += block
            self.size += sum(map(len, block))
            yield from block
        self.at_end = True

    def forget(self, count: int) -> None:
        """Forget the first `count` lines of the file."""
        del self._lines[: count - self._forgotten]
        self._forgotten = count
        self.size = sum(map(len, self._lines))

    def at(self, index: int) -> str:
        """The line after `index` lines, empty if it was not given yet."""
        return next(iter(self._lines[index - self._forgotten :][:1]), "")

    def text(self, start: int, end: int | None) -> str:
        """What stands after `start` lines and up to the end of line `end`, or as far as is kept."""
        stop = None if end is None else end - self._forgotten
        return "".join(self._lines[start - self._forgotten : stop])

    def numbers_with(self, part: str, pattern: re.Pattern[str]) -> list[int]:
        """How many lines stand before each kept line that contains `part` and then `pattern`."""
        return [
            number
            for number, line in enumerate(self._lines, start=self._forgotten)
            if part in line and pattern.search(line)
        ]


def _move(rows: list[list[str]], columns: list[Column]) -> None:
    if rows:
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(cells)
        rows.clear()


def _two_quotes_pattern(delimiter: str) -> re.Pattern[str]:
    """What a quoted empty cell looks like; inside a longer cell, something else may too."""
    mark = re.escape(delimiter)
    return re.compile(rf'(?<![^{mark}\r\n])""(?![^{mark}\r\n])')


def _cell_pattern(delimiter: str) -> re.Pattern[str]:
    """One cell and what ends it. Possessive, so that a long cell costs no memory to match."""
    mark = re.escape(delimiter)
    quoted = r'"(?:[^"]++|"")*+"'
    plain = rf'[^"{mark}\r\n][^{mark}\r\n]*+'
    return re.compile(rf"({quoted}|{plain}|)(?:{mark}|\r\n?|\n|\Z)")
