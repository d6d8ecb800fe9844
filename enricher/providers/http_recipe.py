"""What a job file says of an API that nobody wrote a provider for, checked. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from enricher.model import Json
from enricher.providers.http_template import Place, labels_in
from enricher.providers.ids import SAFE_ID

KEYS: Mapping[str, str] = {
    "submit": 'path that runs are sent to with POST, "/v1/enrich"',
    "body": "the JSON to send, with {label} where an input goes; default: all inputs, by label",
    "outputs": 'where the outputs are, "data.result", or a table of names and places',
    "key_header": 'the header that carries the key; default "Authorization"',
    "key_prefix": 'what stands before the key there; default "Bearer " for Authorization',
    "headers": "a table of further headers; no secrets",
    "timeout": "seconds to wait for an answer, 1 to 600; default 30",
    "error": 'where an error\'s message is, "error.message"',
    "error_code": 'where an error\'s code is, "error.code"',
    "row_errors": "statuses, such as [404, 422], that are about one row and never about the job",
    "status": 'where the run\'s status is, "data.status"',
    "done": "the words, a list, by which a run is complete",
    "failed": "the words by which it has failed",
    "running": "the words by which it goes on; any other word is told, and taken as one of these",
    "id": 'where the run\'s id is in the answer to the submission, "data.id"',
    "poll": 'path that tells how a run stands, with GET, "/v1/jobs/{id}"',
    "check": 'path of a free GET that shows whether the key is good, "/v1/me"',
}
"""Every key of the provider `http`, with a few words."""

LONGEST_TIMEOUT = 600.0

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_HEADER_TEXT = re.compile(r"[ -~]{0,1000}")
_SECRET = re.compile(r"auth|key|token|secret|password|cookie|credential", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"(api|access|auth|secret|private)?[_-]?(key|token|secret|password|authorization)",
    re.IGNORECASE,
)
_RESERVED = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)
_ABOUT_THE_JOB = frozenset({401, 402, 403, 407, 429})
_WORDS = ("done", "failed", "running")


@dataclass(frozen=True, slots=True)
class Address:
    """A path below the base URL, and its query. Whatever it holds, it leads to no other host."""

    path: str
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parsed(cls, text: str, gaps: tuple[str, ...] = ()) -> "Address":
        """Raises `ValueError` if `text` is no path with exactly these gaps."""
        if not re.fullmatch(r"/[!-~]*", text) or re.search(r"^//|\\|#|%|/\.{1,2}(?=/|\?|$)", text):
            raise ValueError(f"{text!r} is no path such as /v1/jobs; it begins with one /")
        found = tuple(re.findall(r"\{([^{}]*)\}", text))
        if found != gaps or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", text)):
            wanted = f"{{{gaps[0]}}} once, and no other braces" if gaps else "no braces"
            raise ValueError(f"{text!r} must have {wanted}")
        path, _, query = text.partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"{text!r} names a parameter twice")
        _refuse_secrets(name for name, _ in pairs)
        return cls(path, pairs)

    def of(self, run_id: str) -> "Address":
        """This address with the id in its gap.

        Raises:
            ValueError: not the form of an id.
        """
        if not SAFE_ID.fullmatch(run_id):
            raise ValueError(f"{run_id[:40]!r} has not the form of an id")
        query = tuple((name, text.replace("{id}", run_id)) for name, text in self.query)
        return Address(self.path.replace("{id}", run_id), query)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an API is asked, and how its answers are read.

    Attributes:
        body: a template; `None` sends the inputs as they are.
        outputs: where all are, or where each is.
        poll: `None` where the submission brings the result.
    """

    submit: Address
    outputs: Place | Mapping[str, Place]
    body: Json = None
    labels: tuple[str, ...] = ()
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 30.0
    error: Place | None = None
    error_code: Place | None = None
    row_errors: frozenset[int] = frozenset()
    status: Place | None = None
    done: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    id: Place | None = None
    poll: Address | None = None
    check: Address | None = None


def read_recipe(given: Mapping[str, Json]) -> tuple[Recipe | None, Mapping[str, str]]:
    """The recipe, or a text for each key that is wrong or missing."""
    mistakes: dict[str, str] = {}
    read: dict[str, Any] = {}
    for name, value in given.items():
        try:
            read[name] = _READERS[name](value)
        except ValueError as error:
            mistakes[name] = str(error)
    for name in ("submit", "outputs"):
        if name not in given:
            mistakes[name] = f"is required: {KEYS[name]}"
    for name, text in _unfit(given).items():
        mistakes.setdefault(name, text)
    if mistakes:
        return None, mistakes
    if "body" in read:
        read["labels"] = labels_in(read["body"])
    if read.get("key_header", "Authorization") != "Authorization":
        read.setdefault("key_prefix", "")
    return Recipe(**read), {}


def target_of(given: Mapping[str, Json]) -> str:
    """What is asked for: another path, body or header is another thing to buy.

    How the answers are read is no part of it: to mend that must not buy everything again.
    """
    asked = {name: given[name] for name in ("submit", "body", "headers") if name in given}
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return f"{given['submit']}#{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _unfit(given: Mapping[str, Json]) -> dict[str, str]:
    """Keys that need others."""
    found = {}
    if "poll" in given:
        for name in ("id", "status", "done"):
            if name not in given:
                found[name] = "is required with `poll`"
    if "id" in given and "poll" not in given:
        found["id"] = "says nothing without `poll`"
    for name in _WORDS:
        if name in given and "status" not in given:
            found[name] = "says nothing without `status`"
    if "status" in given and "done" not in given:
        found["done"] = "is required with `status`"
    return found


# --- one key each: the value, or `ValueError` -----------------------------------------------------


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text in quotes")
    return value


def _words(value: Json) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(w, str) and w for w in value):
        raise ValueError('must be a list of words, ["completed"]')
    return frozenset(value)


def _place(value: Json) -> Place:
    return Place.parsed(_text(value))


def _outputs(value: Json) -> Place | dict[str, Place]:
    if isinstance(value, dict) and value:
        return {name: _place(place) for name, place in value.items()}
    if not isinstance(value, str):
        raise ValueError('must be a place, "data.result", or a table of names and places')
    return Place.parsed(value)


def _body(value: Json) -> Json:
    if not isinstance(value, dict | list):
        raise ValueError('must be a table, { company = "{company}" }')
    labels_in(value)
    _refuse_secrets(_names_in(value))
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("must hold nothing that JSON cannot: no dates, no nan, no inf") from None
    return value


def _names_in(value: Json) -> Iterator[str]:
    if isinstance(value, list | dict):
        yield from value if isinstance(value, dict) else ()
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _names_in(inner)


def _refuse_secrets(names: Iterable[str]) -> None:
    """What stands here gets into the checkpoint, and a parameter into the logs of servers."""
    for name in filter(_SECRET_FIELD.fullmatch, names):
        raise ValueError(f"{name} looks like a secret; the key goes into a header, `key_header`")


def _header_name(value: Json) -> str:
    name = _text(value)
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise ValueError(f"{name!r} is no header that can be set")
    return name


def _header_text(value: Json) -> str:
    text = _text(value)
    if not _HEADER_TEXT.fullmatch(text):
        raise ValueError("must be plain ASCII on one line")
    return text


def _headers(value: Json) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ValueError('must be a table, { X-Version = "2" }')
    for name in value:
        if _SECRET.search(name):
            raise ValueError(f"{name} looks like a secret; name the key's header in `key_header`")
    return tuple((_header_name(name), _header_text(text)) for name, text in value.items())


def _seconds(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number of seconds")
    if not 1 <= value <= LONGEST_TIMEOUT:
        raise ValueError(f"must be from 1 to {LONGEST_TIMEOUT:g} seconds")
    return float(value)


def _statuses(value: Json) -> frozenset[int]:
    if not isinstance(value, list) or not all(type(s) is int and 400 <= s < 500 for s in value):
        raise ValueError("must be a list of statuses from 400 to 499")
    if barred := sorted(_ABOUT_THE_JOB.intersection(value)):
        raise ValueError(f"{barred[0]} is never about one row")
    return frozenset(value)


_READERS: Mapping[str, Any] = {
    "submit": lambda value: Address.parsed(_text(value)),
    "body": _body,
    "outputs": _outputs,
    "key_header": _header_name,
    "key_prefix": _header_text,
    "headers": _headers,
    "timeout": _seconds,
    "error": _place,
    "error_code": _place,
    "row_errors": _statuses,
    "status": _place,
    **dict.fromkeys(_WORDS, _words),
    "id": _place,
    "poll": lambda value: Address.parsed(_text(value), ("id",)),
    "check": lambda value: Address.parsed(_text(value)),
}
