"""Job files: TOML to the options of a job, and the place of every mistake.

Nothing here names an option: the models of `job` and `telling` are read (see `layout`).
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from enricher.errors import JobFileError
from enricher.harmless import printable
from enricher.job import OF_A_STEP, Job
from enricher.jobfile.layout import (
    INPUTS,
    OPTIONS,
    PAIRED,
    PROVIDER,
    RIVALS,
    STEPS,
    TARGETS,
    WANTED,
    Key,
    keys,
    nearest,
)
from enricher.jobfile.places import places, syntax_error
from enricher.jobfile.schema import schema
from enricher.jobfile.telling import LogFormat, Telling
from enricher.jobfile.writing import Draft, written

__all__ = ["Draft", "JobFile", "LogFormat", "Telling", "read_job_file", "schema", "written"]

LARGEST = 1 << 18
"""Bytes; a larger file is no job file."""

_SQLITE = "sqlite:///"
_FORMS = ("column", "template", "value")
_SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)
_FILES = ("input", "api_key_file")
"""Fields that name a file which must be there."""


@dataclass(slots=True)
class JobFile:
    """A job file as it was read.

    Attributes:
        job, telling: the options that are in order, by field.
        mistakes: everything else: the line (0 where there is none), and a text with the place.
        unread: keys of `[provider]` that only the provider itself may know.
        steps: those of a waterfall, each with sections of its own; `place` is where they stand.
    """

    path: Path
    job: dict[str, Any] = field(default_factory=dict)
    telling: dict[str, Any] = field(default_factory=dict)
    mistakes: list[tuple[int, str]] = field(default_factory=list)
    unread: dict[str, Any] = field(default_factory=dict)
    steps: list["JobFile"] = field(default_factory=list)
    place: tuple[str, ...] = ()
    _lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is unless told otherwise."""
        return self.path.absolute().with_name(f"{self.path.stem}.checkpoint.db")

    def reject(self, path: tuple[str, ...], text: str) -> None:
        """Note a mistake in the key `path`."""
        path = (*self.place, *path)
        line = next((self._lines[p] for p in _upwards(path) if p in self._lines), 0)
        where = f"{self.path}:{line}" if line else str(self.path)
        shown = ".".join(_counted(path))
        words = f"{where}: {shown}: {text}" if shown else f"{where}: {text}"
        mistake = (line, printable(words))
        if mistake not in self.mistakes:  # what the steps share is wrong for each of them
            self.mistakes.append(mistake)

    def reject_field(self, name: str, text: str) -> None:
        """Note a mistake in the key of the field `name`."""
        path = next((key.path for key in keys().values() if key.field == name), (INPUTS,))
        self.reject(path, text)

    def own_keys(self, names: Collection[str]) -> dict[str, Any]:
        """The provider's own keys, `names` being all that it has; any other is a mistake."""
        own = {}
        for name, value in self.unread.items():
            if name not in names:
                self.reject_unknown((PROVIDER, name), value, names)
            elif _is_json(value):
                own[name] = value
            else:
                self.reject((PROVIDER, name), "must hold no dates or times; put them in quotes")
        return own

    def reject_own(self, name: str, text: str) -> None:
        """Note a mistake in one of the provider's own keys."""
        self.reject((PROVIDER, name), text)

    def reject_unknown(
        self, path: tuple[str, ...], value: Any, others_known: Collection[str] = ()
    ) -> None:
        """Note a key that nobody reads; `others_known` are names that might have been meant."""
        if _SECRET.search(path[-1]) and not isinstance(value, dict):
            text = (
                "a key must not stand in a job file; name the variable that holds it"
                ' (api_key_env = "BITSCALE_API_KEY") or a private file (api_key_file)'
            )
        else:
            kind = "section" if isinstance(value, dict) else "key"
            text = f"unknown {kind}{nearest(path, others_known)}"
        self.reject(path, text)

    def mentions(self, name: str) -> bool:
        """Whether the key of the field `name` stands in the file, right or wrong."""
        paths = (key.path for key in keys().values() if key.field == name)
        return any((*self.place, *path) in self._lines for path in paths)

    def step(self, number: int) -> "JobFile":
        """A step, whose mistakes are this file's."""
        place = (STEPS, str(number))
        step = JobFile(self.path, mistakes=self.mistakes, place=place, _lines=self._lines)
        self.steps.append(step)
        return step

    def without_rivals(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of the job and of its telling that nothing in `given` takes the place of."""
        ousted = {name for group in RIVALS for name in group if any(n in given for n in group)}
        mine = {**self.job, **self.telling}
        options = {name: value for name, value in mine.items() if name not in ousted}
        fed = {*given.get("maps", {}), *given.get("templates", {})}
        for name in ("maps", "templates"):
            kept = {label: v for label, v in self.job.get(name, {}).items() if label not in fed}
            options[name] = {**kept, **given.get(name, {})}
        return options

    def check_files(self, given: Mapping[str, Any]) -> None:
        """Note the files that are named here, needed, and not there."""
        for name in _FILES:
            value = self.job.get(name)
            for path in value if isinstance(value, list) else [value]:
                pattern = re.search(r"[*?\[]|://", str(path))
                if name not in given and path and not pattern and not Path(path).exists():
                    self.reject_field(name, f"there is no file {path}")

    def raise_mistakes(self) -> None:
        """Raise `JobFileError` if there are any."""
        if not self.mistakes:
            return
        count = "a mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        listed = "\n".join(f"  {text}" for _, text in sorted(self.mistakes))
        raise JobFileError(
            f"{self.path} has {count}:\n{listed}",
            mend="Mend the file and repeat the command; `enricher schema` describes every key.",
        )


def read_job_file(path: Path) -> JobFile:
    """Read the job file at `path`; paths in it are relative to its folder.

    Raises:
        JobFileError: it cannot be read, or is no TOML (then nothing else can be said of it).
    """
    text = _text_of(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line, column, cause = syntax_error(error, text)
        raise JobFileError(
            f"{path}:{line}:{column}: this is no TOML: {printable(cause)}.",
            mend='Texts stand in quotes, and each key in a line of its own: grid = "a1b2".',
        ) from None
    file = JobFile(path, _lines=places(text))
    _take_sections(file, {name: value for name, value in data.items() if name != STEPS})
    if STEPS in data:
        _take_steps(file, data)
    return file


def _take_sections(file: JobFile, data: Mapping[str, Any]) -> None:
    for key_path, value in _statements(file, data):
        _take(file, key_path, value)
    _take_inputs(file, data.get(INPUTS, {}))
    _find_rivals(file)


def _take_steps(file: JobFile, data: Mapping[str, Any]) -> None:
    """`[[steps]]`: each has the sections of a job file, and the outputs that it must fill."""
    steps = data[STEPS]
    if not isinstance(steps, list) or not all(isinstance(one, dict) for one in steps):
        file.reject((STEPS,), "must be tables, each step one: [[steps]]")
        return
    for section in (PROVIDER, INPUTS):
        if section in data:
            file.reject((section,), f"belongs to a step where there are some: [steps.{section}]")
    if len(steps) < 2:
        file.reject((STEPS,), "one step is none: write its sections without `steps.`")
    for number, found in enumerate(steps):
        _take_step(file.step(number), found)


def _take_step(step: JobFile, data: Mapping[str, Any]) -> None:
    rest = {name: value for name, value in data.items() if name != WANTED}
    for name in rest.keys() - {PROVIDER, INPUTS, OPTIONS}:
        step.reject((name,), f"unknown key; a step has {WANTED}, {PROVIDER}, {INPUTS}, {OPTIONS}")
        del rest[name]
    _take_sections(step, rest)
    wanted = data.get(WANTED, [])
    if isinstance(wanted, list) and all(isinstance(name, str) and name for name in wanted):
        step.job[WANTED] = wanted
    else:
        step.reject((WANTED,), "must be a list of names of outputs in quotes")
    for name in (*step.job, *step.telling):
        if name not in (*OF_A_STEP, *TARGETS):
            step.reject_field(name, "is one for all steps: it stands under [options] of the file")


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise JobFileError(
            f"The job file {path} cannot be read: {error.strerror}.",
            mend="Write one with `enricher init leads.csv --grid ID`.",
        ) from None
    if len(content) > LARGEST:
        raise JobFileError(f"{path} is too large for a job file: more than {LARGEST} bytes.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise JobFileError(
            f"{path}:{line}: this is not UTF-8, the encoding of TOML.", mend="Save it as UTF-8."
        ) from None


def _statements(file: JobFile, data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each key with its value, those of the sections one by one; `[inputs]` apart."""
    for name, value in data.items():
        if name not in (PROVIDER, INPUTS, OPTIONS):
            yield (name,), value
        elif not isinstance(value, dict):
            file.reject((name,), f"must be a section of its own: [{name}]")
        elif name != INPUTS:
            yield from (((name, key), inner) for key, inner in value.items())


def _take(file: JobFile, path: tuple[str, ...], value: Any) -> None:
    key = keys().get(path)
    if key is None and path[0] == PROVIDER and len(path) > 1:
        file.unread[path[-1]] = value
        return
    if key is None:
        file.reject_unknown(path, value)
        return
    try:
        taken = _checked(key, value, file.path.absolute().parent)
    except ValueError as error:
        file.reject(path, str(error))
    else:
        (file.job if key.model is Job else file.telling)[key.field] = taken


def _checked(key: Key, value: Any, folder: Path) -> Any:
    """`value` as the model takes it.

    Raises:
        ValueError: it is not of the key's type or form.
    """
    if key.field in PAIRED and isinstance(value, list) and value:
        return [_checked(key, one, folder) for one in value]
    try:
        text = json.dumps(value)
    except TypeError:  # a date or time of TOML
        raise ValueError(f"must not be a date or time; put {value} in quotes") from None
    try:
        if key.field in ("input", "output") or "Path" in str(key.info.annotation):
            if not isinstance(value, str):
                raise ValueError(f"must be a path in quotes, not {_shown(value)}")
            return key.adapter.validate_python(_relative_to(folder, value))
        # As JSON: there a strict model takes a text for a word of an enum, and a list for a tuple.
        return key.adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(_worded(error, key)) from None


def _worded(error: ValidationError, key: Key) -> str:
    detail = error.errors(include_url=False)[0]
    message = str(detail["msg"])
    if detail["type"] == "value_error":
        return message.removeprefix("Value error, ")
    if detail["type"] == "string_too_short":
        return "is empty"
    found = "" if _SECRET.search(key.name) else f", not {_shown(detail['input'])}"
    return message.replace("Input should be", "must be") + found


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:  # a date or time of TOML
        return False
    return True


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:39] + "…"


def _relative_to(folder: Path, text: str) -> str:
    """A path of the file as an absolute one; `-`, addresses and homes stay."""
    if text.startswith(_SQLITE) and not text.startswith(f"{_SQLITE}/"):
        return f"{_SQLITE}{folder / text.removeprefix(_SQLITE)}"
    if text in ("", "-") or "://" in text or text.startswith("~"):
        return text
    return str(folder / text)


def _take_inputs(file: JobFile, inputs: Any) -> None:
    """`[inputs]`: a column's name, or a table with a template or a value."""
    maps, templates = {}, {}
    for label, fed in inputs.items() if isinstance(inputs, dict) else ():
        path = (INPUTS, label)
        table = {"column": fed} if isinstance(fed, str) else fed
        if not isinstance(table, dict):
            file.reject(path, f"must be a column in quotes or a template, not {_shown_any(fed)}")
            continue
        unknown = sorted(table.keys() - set(_FORMS))
        if unknown or len(table) != 1:
            what = f"`{unknown[0]}` is unknown" if unknown else f"{' and '.join(table)} contradict"
            file.reject(path, f"{what if table else 'is empty'}; give one of {', '.join(_FORMS)}")
            continue
        (form, text), *_ = table.items()
        if not isinstance(text, str):
            file.reject(path, f"{form} must be a text in quotes, not {_shown_any(text)}")
        elif form == "column":
            maps[label] = text
        else:
            is_value = form == "value"
            templates[label] = text.replace("{", "{{").replace("}", "}}") if is_value else text
    file.job.update(maps=maps, templates=templates)


def _shown_any(value: Any) -> str:
    return _shown(value) if isinstance(value, bool | int | float | list) else "that"


def _find_rivals(file: JobFile) -> None:
    for group in RIVALS:
        present = [key for key in keys().values() if key.field in group]
        both = [key for key in present if key.field in {**file.job, **file.telling}]
        if len(both) > 1 and not all(file.telling.get(key.field) is False for key in both[1:]):
            names = " and ".join(f"`{'.'.join(key.path)}`" for key in both)
            file.reject(both[1].path, f"{names} contradict each other; keep one")
            for key in both:
                file.job.pop(key.field, None)
                file.telling.pop(key.field, None)


def _counted(path: tuple[str, ...]) -> tuple[str, ...]:
    """`steps[1].provider` for the first step, whose place is counted from 0."""
    if path[:1] != (STEPS,) or len(path) < 2:
        return path
    return (f"{STEPS}[{int(path[1]) + 1}]", *path[2:])


def _upwards(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The key itself, then the sections that it stands in."""
    return (path[:length] for length in range(len(path), 0, -1))
