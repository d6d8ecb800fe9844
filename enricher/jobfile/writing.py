"""A commented job file, as `init` writes it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Draft:
    """What a job file is to say; paths as they shall stand in it.

    Attributes:
        provider: keys of `[provider]`, in order.
        inputs: label to `{"column" | "template" | "value": text}`; what is known for sure.
        unsure: label to what a person should know who fills it in.
        columns, outputs: names of the file's columns and of the target's outputs.
    """

    input: str
    title: str
    provider: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, str]]
    unsure: Mapping[str, str]
    columns: Sequence[str]
    outputs: Sequence[str] = field(default=())


_COMMON = (
    ("rate", "5", "requests a second; auto follows the server's word"),
    ("max_runs", "1000", "at most so many submissions in one go"),
    ("max_credits", "500", "stop before a pass has used more"),
    ("max_failures", '"50%"', "stop when so many runs have failed"),
    ("retry_failed", "true", "submit again what failed in an earlier pass"),
    ("refresh_after", '"30d"', "run again what is older"),
    ("excel_safe", "true", "put ' before text that a spreadsheet would run"),
    ("summary_file", '"summary.json"', "the JSON summary, whatever the outcome"),
)
"""What is shown as a comment: the options that most jobs come to need."""


def written(draft: Draft) -> str:
    """The text of the file."""
    lines = [
        "# A job of enricher.  Look:  enricher plan THIS_FILE",
        "#                   Enrich:  enricher run THIS_FILE",
        "# Paths are relative to this file. Every key: `enricher schema`, `enricher run --help`.",
        "",
        f"input = {_text(draft.input)}",
        f'# output = "…"{" " * 18}# default: the input\'s name with .enriched, beside it',
        "",
        "[provider]",
        *_provider(draft),
        "",
        "[inputs]",
        "# label = a column of the file:  " + _comment(", ".join(map(_text, draft.columns))),
        '# label = { template = "https://{Domain}" }, or { value = "US" } for all rows',
        *_inputs(draft),
        "",
        "[options]",
        *(f"# {name} = {value}".ljust(33) + f"# {words}" for name, value, words in _COMMON),
    ]
    return "\n".join(lines) + "\n"


def _provider(draft: Draft) -> list[str]:
    lines = [f"{name} = {_text(value)}" for name, value in draft.provider.items()]
    lines = [
        f"{line}   # {_comment(draft.title)}" if line.startswith("grid =") and draft.title else line
        for line in lines
    ]
    if draft.outputs:
        listed = ", ".join(map(_text, draft.outputs))
        lines.append(f"# output_columns = [{_comment(listed)}]   # only these; all by default")
    return lines


def _inputs(draft: Draft) -> list[str]:
    lines = []
    for label, fed in draft.inputs.items():
        form, text = next(iter(fed.items()))
        said = _text(text) if form == "column" else f"{{ {form} = {_text(text)} }}"
        lines.append(f"{_key(label)} = {said}")
    for label, words in draft.unsure.items():
        lines += [f"# {_comment(words)}", f'# {_key(label)} = "…"']
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(text: str) -> str:
    """A basic string of TOML; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _comment(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", " ", text)
