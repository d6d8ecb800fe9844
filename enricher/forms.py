"""What options look like, as types: a checked value, or a sentence that says why not."""

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from enricher.cell import well_formed
from enricher.formats import STANDARD
from enricher.model import Limit
from enricher.places import Place, parse_place

RATE_FORM = "a number of requests per second from 0.001 to 100000, `auto` or `unlimited`"
IN_FLIGHT_FORM = "a whole number from 1 to 100000, or `auto`"
LIMITER_FORM = "`local`, `host`, or an address such as redis://localhost:6379/0"
LIMIT_FORM = "a whole number, or a share such as 5%"
AGE_FORM = "a number with a unit: 90s, 15m, 2h or 30d"
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")


def parse_age(text: str) -> float:
    """Seconds of an age such as `90s`, `15m`, `2h` or `30d`.

    Raises:
        ValueError: not of that form.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not {AGE_FORM}")
    return float(match[1]) * _SECONDS[match[2]]


def parse_rate(value: object) -> float | Literal["auto", "unlimited"]:
    """`auto`, `unlimited` or requests per second.

    Raises:
        ValueError: not of that form.
    """
    if value == "auto":
        return "auto"
    if value == "unlimited":
        return "unlimited"
    try:
        rate = float(str(value))
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 100_000:
        raise ValueError(f"{str(value)!r} is not {RATE_FORM}")
    return rate


def parse_in_flight(value: object) -> int | Literal["auto"]:
    """`auto` or how many runs may be under way.

    Raises:
        ValueError: not of that form.
    """
    if value == "auto":
        return "auto"
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= 100_000:
        raise ValueError(f"{text!r} is not {IN_FLIGHT_FORM}")
    return int(text)


def parse_limiter(value: object) -> str:
    """`local`, `host`, or the address of a Redis server.

    Raises:
        ValueError: not of that form, or with a secret in it.
    """
    text = str(value).strip()
    if text in ("local", "host"):
        return text
    no_address = f"{text!r} is not {LIMITER_FORM}"
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("redis", "rediss") and parts.hostname and parts.port != 0
    except ValueError:  # no such port
        raise ValueError(no_address) from None
    if not whole or re.search(r"[\s\x00-\x1f\\?#]", text):
        raise ValueError(no_address)
    if "@" in parts.netloc:
        raise ValueError(
            "the address must not hold a user name or password;"
            " put them into REDIS_USERNAME and REDIS_PASSWORD"
        )
    return text


def parse_limit(value: object) -> Limit:
    """A number of rows or runs, or a share of them such as `5%`.

    Raises:
        ValueError: not of that form.
    """
    if isinstance(value, Limit):
        return value
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)(%?)", str(value).strip())
    number = float(match[1]) if match else math.nan
    if match and match[2] and number <= 100:
        return Limit(share=number / 100)
    if match and not match[2] and number.is_integer():
        return Limit(count=number)
    raise ValueError(f"{str(value)!r} is not {LIMIT_FORM}")


def _parse_seconds(value: object) -> object:
    return parse_age(value) if isinstance(value, str) else value


def parse_url(value: object) -> str:
    """A base URL: an address without a secret in it, that carries a key safely.

    Raises:
        ValueError: not of that form.
    """
    url = str(value).rstrip("/")
    no_address = f"{str(value)!r} is no address such as https://api.bitscale.ai/api/v1"
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no such port, half an IPv6 address
        raise ValueError(no_address) from None
    if not whole or re.search(r"[\s\x00-\x1f\\?#]", url):
        raise ValueError(no_address)
    if "@" in parts.netloc:
        raise ValueError("a base URL must not hold a user name or password")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or ""):
        raise ValueError(f"{url!r} would carry the key unencrypted; use https://")
    return url


def parse_path(value: object) -> Path:
    """One name for one file, from wherever it is named: absolute, its folder without links.

    A link at the end of the path stays: what is written beside it is meant to stand there.
    """
    path = Path(str(value))
    if path.name in ("", ".."):
        raise ValueError(f"{str(value)!r} names no file")
    with suppress(RuntimeError):  # a file whose name begins with `~`, and no user of that name
        path = path.expanduser()
    return path.parent.resolve() / path.name


def _parse_prefix(value: object) -> str:
    prefix = str(value)
    if not re.fullmatch(r'[^\s,;"]+', prefix):
        raise ValueError(f"{prefix!r} must be a name without spaces, commas, semicolons and quotes")
    return prefix


def _parse_variable(value: object) -> str:
    """In capitals, as such names are: a key that was pasted here instead is not taken for one."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        raise ValueError("must be the NAME of an environment variable, in capitals; never the key")
    return value


def _parse_text(text: str) -> str:
    """Bytes that are no UTF-8 come from the shell as lone surrogates, and could not be sent."""
    if well_formed(text) != text:
        raise ValueError(f"{text!r} is not valid text: write it in UTF-8")
    return text


def parse_any_place(value: object) -> Place:
    """A file, standard input or output, an object of a store, or a database."""
    text = str(value)
    if text == STANDARD:
        return Path(STANDARD)
    place = parse_place(_parse_text(text) if "://" in text else text)
    return parse_path(value) if isinstance(place, Path) else place


def _parse_encoding(value: object) -> str:
    name = str(value)
    try:
        "a".encode(name).decode(name)
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
        raise ValueError(f"{name!r} is no encoding such as utf-8 or windows-1252") from None
    return name


def _parse_delimiter(value: object) -> str:
    text = {"tab": "\t", "\\t": "\t"}.get(str(value), str(value))
    if len(text) != 1 or not text.isascii() or text in '"\r\n\0':
        raise ValueError(f"{str(value)!r} must be one character, or `tab`")
    return text


Age = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),
    BeforeValidator(_parse_seconds, json_schema_input_type=str | float),
]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float | Literal["auto", "unlimited"], BeforeValidator(parse_rate)]
Limiter = Annotated[str, BeforeValidator(parse_limiter, json_schema_input_type=str)]
Offset = Annotated[int, Field(ge=0)]
FailureLimit = Annotated[
    Limit,
    BeforeValidator(parse_limit, json_schema_input_type=str | int),
    PlainSerializer(lambda limit: str(limit)),
]
InFlight = Annotated[int | Literal["auto"], BeforeValidator(parse_in_flight)]
Url = Annotated[str, BeforeValidator(parse_url)]
FilePath = Annotated[Path, BeforeValidator(parse_path)]
AnyPlace = Annotated[
    Place,
    PlainValidator(parse_any_place, json_schema_input_type=str),
    PlainSerializer(str, when_used="json"),
]
Encoding = Annotated[str, BeforeValidator(_parse_encoding)]
Delimiter = Annotated[str, BeforeValidator(_parse_delimiter)]
Prefix = Annotated[str, BeforeValidator(_parse_prefix)]
Text = Annotated[str, AfterValidator(_parse_text)]
Variable = Annotated[str, BeforeValidator(_parse_variable, json_schema_input_type=str)]
