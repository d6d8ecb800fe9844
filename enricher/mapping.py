"""Columns and templates to inputs, and inputs to the key under which their result is found."""

import difflib
import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from enricher.column import column_as_text
from enricher.errors import MappingError
from enricher.model import KEY_SIZE, Context, Inputs

KEY_FORM = 1
"""Part of every key. A changed form makes every stored result unfindable: users would pay again."""

_TEMPLATE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Feed:
    """How one label gets its text: `parts` are literal texts and positions of columns."""

    label: str
    parts: tuple[str | int, ...]

    @property
    def columns(self) -> tuple[int, ...]:
        return tuple(part for part in self.parts if isinstance(part, int))


@dataclass(frozen=True, slots=True)
class InputMapping:
    """All labels of a target and what feeds them."""

    feeds: tuple[Feed, ...]
    columns: tuple[str, ...]

    @property
    def fed_by_columns(self) -> tuple[str, ...]:
        """Labels whose text differs from row to row."""
        return tuple(feed.label for feed in self.feeds if feed.columns)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(feed.label for feed in self.feeds)

    def _texts(self, batch: pl.DataFrame, column: int) -> list[str]:
        text = column_as_text(batch[str(column)].alias(self.columns[column]))
        return text.fill_null("").to_list()

    def described(self) -> dict[str, dict[str, str]]:
        """`{label: {"column": …} | {"template": …} | {"value": …}}`, as in a job file."""
        return {feed.label: self._described(feed) for feed in self.feeds}

    def _described(self, feed: Feed) -> dict[str, str]:
        match feed.parts:
            case (int(column),):
                return {"column": self.columns[column]}
            case parts if feed.columns:
                return {"template": "".join(self._written(part) for part in parts)}
            case parts:
                return {"value": "".join(str(part) for part in parts)}

    def _written(self, part: str | int) -> str:
        if isinstance(part, int):
            return "{" + self.columns[part] + "}"
        return part.replace("{", "{{").replace("}", "}}")

    def inputs_of(self, batch: pl.DataFrame) -> Iterator[Inputs | None]:
        """The inputs of each row of `batch`, or `None` for a row that has nothing to send.

        A row has nothing to send when every column it feeds from is blank; constants do not count.
        A template whose columns are all blank is empty.
        """
        used = sorted({column for feed in self.feeds for column in feed.columns})
        texts = {column: self._texts(batch, column) for column in used}
        blank = _blank_rows([texts[column] for column in used])
        fed = {feed.label: _filled(feed, texts, batch.height) for feed in self.feeds}
        for row in range(batch.height):
            yield None if row in blank else {label: text[row] for label, text in fed.items()}


def _blank_rows(columns: Sequence[Sequence[str]]) -> set[int]:
    """The rows in which every one of these columns is blank; none if there are no columns."""
    if not columns:
        return set()
    rows = set(range(len(columns[0])))
    for column in columns:
        rows = {row for row in rows if not column[row] or column[row].isspace()}
    return rows


def _filled(feed: Feed, texts: Mapping[int, Sequence[str]], height: int) -> Sequence[str]:
    """What a feed gives for every row."""
    if len(feed.parts) == 1 and isinstance(feed.parts[0], int):
        return texts[feed.parts[0]]
    columns = [texts[column] for column in feed.columns]
    if not columns:
        return ["".join(map(str, feed.parts))] * height
    blank = _blank_rows(columns)
    parts = [[part] * height if isinstance(part, str) else texts[part] for part in feed.parts]
    rows = zip(*parts, strict=True)
    return ["" if row in blank else "".join(written) for row, written in enumerate(rows)]


# --- from names to a mapping ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wording:
    """How people are told of a mapping that does not fit.

    Attributes:
        target: what the users of the provider call what is run.
        job_file: the name of the job file that holds the mapping; empty if options do.
        section: where in it.
    """

    target: str = "grid"
    job_file: str = ""
    section: str = "[inputs]"

    def place(self, option: str, label: str) -> str:
        """Where the user said what feeds `label`."""
        return f"input {label!r} of {self.job_file}" if self.job_file else f"{option} {label}"

    @property
    def mend(self) -> str:
        if self.job_file:
            return (
                f'Name the column under {self.section} of {self.job_file}, as in label = "COLUMN",'
                ' or a text, as in label = { value = "TEXT" }; an empty one leaves it empty.'
            )
        return (
            'Name the column with -m LABEL="COLUMN", or a text with --set LABEL=TEXT'
            " (--set LABEL= leaves it empty)."
        )


def resolve(
    labels: Sequence[str],
    columns: Sequence[str],
    maps: Mapping[str, str],
    templates: Mapping[str, str],
    optional: Collection[str] = (),
    wording: Wording | None = None,
) -> InputMapping:
    """Find what feeds every label: told, or a column of the same name.

    Names are the same when their letters and digits are, whatever their case, spaces, underscores
    and punctuation.

    Args:
        labels: the inputs that the target takes; empty if it does not tell.
        columns: the header of the input.
        maps: label to column, as told.
        templates: label to template, as told.
        optional: labels that are left out if nothing feeds them.
        wording: how what does not fit is told.

    Raises:
        MappingError: lists everything that does not fit, with the labels and the columns.
    """
    wording = wording or Wording()
    told = dict.fromkeys([*maps, *templates])
    problems: list[str] = []
    feeds: list[Feed] = []
    for label in dict.fromkeys([*labels, *told]):
        if labels and label not in labels:
            problems.append(f"{label!r} is no input of the {wording.target}{_guess(label, labels)}")
        try:
            feeds.append(_feed(label, columns, maps, templates, wording))
        except _Unfit as unfit:
            if label in told or label not in optional:
                problems += unfit.args
    if not feeds and not problems:
        problems.append(f"the {wording.target} names no inputs, and none is given")
    if problems:
        takes = f"The {wording.target} takes:"
        raise MappingError(
            f"The inputs of the {wording.target} and the columns of the file do not fit:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + f"\n{takes} {_listed(labels) if labels else 'it does not say'}"
            + f"\n{'The file has:':<{len(takes)}} {_listed(columns)}",
            mend=wording.mend,
        )
    return InputMapping(tuple(feeds), tuple(columns))


def matched(labels: Sequence[str], columns: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Each label with the one column of its name, and the others with why there is none."""
    found: dict[str, str] = {}
    unsure: dict[str, str] = {}
    for label in labels:
        try:
            found[label] = columns[_feed(label, columns, {}, {}, Wording()).columns[0]]
        except _Unfit as unfit:
            unsure[label] = "; ".join(unfit.args)
    return found, unsure


class _Unfit(Exception):
    """One label cannot be fed; each argument becomes a line of a `MappingError`."""


def _feed(
    label: str,
    columns: Sequence[str],
    maps: Mapping[str, str],
    templates: Mapping[str, str],
    wording: Wording,
) -> Feed:
    if label in maps:
        return Feed(label, (_position(maps[label], columns, wording.place("-m", label)),))
    if label in templates:
        return Feed(label, tuple(_parse(templates[label], columns, wording.place("--set", label))))
    plain = _plain(label)
    matching = [n for n, column in enumerate(columns) if plain and _plain(column) == plain]
    if len(matching) == 1:
        return Feed(label, (matching[0],))
    if matching:
        raise _Unfit(
            f"label {label!r}: several columns have that name: {_listed(columns, matching)}"
        )
    raise _Unfit(f"label {label!r}: no column of that name{_guess(label, columns)}")


def _position(name: str, columns: Sequence[str], where: str) -> int:
    found = [n for n, column in enumerate(columns) if column == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise _Unfit(f"{where}: the file has {len(found)} columns named {name!r}; rename one")
    raise _Unfit(f"{where}: the file has no column {name!r}{_guess(name, columns)}")


def _parse(template: str, columns: Sequence[str], where: str) -> Iterator[str | int]:
    at = 0
    problems: list[str] = []
    for token in _TEMPLATE.finditer(template):
        if token.start() > at:
            yield template[at : token.start()]
        at = token.end()
        if token[0] in ("{{", "}}"):
            yield token[0][0]
        elif token[1] is None:
            problems.append(
                f"{where}: a lone {token[0]!r} in {template!r}; write it twice for a brace"
            )
        else:
            try:
                yield _position(token[1], columns, where)
            except _Unfit as unfit:
                problems += unfit.args
    if problems:
        raise _Unfit(*problems)
    yield template[at:]  # empty or not: a template of one column is no column


_CLOSE = 0.8
"""Share of equal letters: a slip of the pen, or the same word in a language near by."""

_SHORTEST = 3
"""Letters of a beginning that says something."""


def _guess(word: str, words: Sequence[str]) -> str:
    """The one that is clearly meant: nothing where several might be, since a guess costs money."""
    plain, by_plain = _plain(word), {_plain(w): w for w in words if _plain(w)}
    near = difflib.get_close_matches(plain, by_plain, n=1, cutoff=_CLOSE)
    if not near:
        near = [other for other in by_plain if _begins(plain, other) or _begins(other, plain)]
    return f" (did you mean {by_plain[near[0]]!r}?)" if len(near) == 1 else ""


def _begins(word: str, other: str) -> bool:
    return len(word) >= _SHORTEST and other.startswith(word)


def _plain(name: str) -> str:
    """Letters with their marks (the vowels of many scripts are marks), and digits."""
    normal = unicodedata.normalize("NFKC", name.casefold())
    return "".join(c for c in normal if unicodedata.category(c)[0] in "LMN")


def _listed(names: Sequence[str], which: Sequence[int] | None = None) -> str:
    chosen = names if which is None else [names[n] for n in which]
    return ", ".join(repr(name) for name in chosen)


# --- the key --------------------------------------------------------------------------------


class KeyMaker:
    """Content keys of one context: equal inputs have equal keys, whatever file they come from.

    The key is the BLAKE2b-128 digest (RFC 7693) of a header and, for each label in sorted order,
    its text behind its length, so that no two different inputs share a digested text.
    """

    def __init__(self, context: Context, labels: Sequence[str]) -> None:
        self._labels = sorted(labels)
        header: list[Any] = [
            KEY_FORM,
            context.provider,
            context.origin,
            context.account,
            context.target,
            context.source,
            self._labels,
        ]
        text = json.dumps(header, ensure_ascii=True, separators=(",", ":"))
        self._prepared = hashlib.blake2b(text.encode("ascii"), digest_size=KEY_SIZE)

    def key(self, inputs: Inputs, occurrence: int = 0) -> bytes:
        """The key of `inputs`; rows of equal inputs have one each if their `occurrence` differs."""
        return self.key_of(self.content(inputs, occurrence))

    def content(self, inputs: Inputs, occurrence: int = 0) -> bytes:
        """What of a row is digested: the same for every context with these labels."""
        texts = [inputs[label] for label in self._labels]
        content = "".join(f"{len(text)}:{text}," for text in texts).encode("utf-8")
        if occurrence:  # behind all labels, where no text can stand
            content += b"#%d" % occurrence
        return content

    def key_of(self, content: bytes) -> bytes:
        """The key of what `content` gives."""
        digest = self._prepared.copy()
        digest.update(content)
        return digest.digest()


def placing(labels: Sequence[str]) -> KeyMaker:
    """Keys by which rows are put into shards: of the inputs alone, whoever is asked about them.

    So equal inputs meet in one shard of a job that asks several workspaces, and are paid once.
    """
    return KeyMaker(Context("", "", "", ""), labels)
