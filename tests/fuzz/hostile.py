"""Answers that no document describes, drawn from a seed: bytes of every kind of nonsense."""

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from enricher.providers.transport import LARGEST_ANSWER
from tests.support.network import Raw

Json = Any

LONE = "\ud800"
"""JSON can say it, and no file can hold it."""

ODD_TEXTS = (
    *("", " ", "\0", "\n", "\x1b[2J\x1b]0;x\x07", "\u202eevil", "\u2028", LONE, "\x9b31m", "💥"),
    *("=1+1", "@SUM(A1)", "..", ".", "../../api-key/rotate", "http://evil.example/", "null", "NaN"),
    *("x" * 200, "x" * 70_000, "running", "completed", "failed", '"', "'; DROP TABLE items; --"),
)
ODD_VALUES: Sequence[Json] = (
    *(None, True, False, 0, -1, 1.5, 1e308, -0.0, 2**53 + 1, 2**64, 10**40, 10**400, -(10**39)),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {}}}, [1, "a", None, {}], {"value": 1}),
)
CODES = (
    *("INVALID_API_KEY", "MISSING_SOURCE", "GRID_NOT_FOUND", "INVALID_INPUTS", "RUN_FAILED"),
    *("REQUEST_NOT_FOUND", "INTERNAL_ERROR", "RATE_LIMIT_EXCEEDED", "OUT_OF_CREDITS", "X" * 5000),
)
DATES = ("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "yesterday")
NUMBERS = ("0", "-1", "1", "1e9", "1e999", "nan", "inf", "5", "0.0001", "", "1_0", "٥", "x" * 500)


def odd_value(rng: Random, depth: int = 0) -> Json:
    """A JSON value of some unexpected type or size."""
    kind = rng.randrange(8)
    if kind == 0 and depth < 3:
        return [odd_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 1 and depth < 3:
        return {rng.choice(ODD_TEXTS): odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 2:
        return nested(rng.choice((5, 150, 199, 230)), rng.random() < 0.5)
    return rng.choice((rng.choice(ODD_TEXTS), rng.choice(ODD_VALUES)))


def nested(levels: int, lists: bool) -> Json:
    value: Json = "deep"
    for _ in range(levels):
        value = [value] if lists else {"d": value}
    return value


# --- bodies -----------------------------------------------------------------------------------


def encoded(value: Json) -> bytes:
    """JSON as a careless server writes it: lone surrogates and all."""
    return json.dumps(value).encode("ascii")


def with_a_wrong_place(rng: Random, value: Json) -> bytes:
    """One place of the document holds something else, or is gone, or has another name."""
    places = list(_places(value))
    for whole, name in rng.sample(places, min(len(places), rng.choice((1, 1, 2, 4)))):
        if isinstance(whole, dict) and rng.random() < 0.25:
            moved = whole.pop(name, None)
            if rng.random() < 0.5:
                whole[rng.choice(ODD_TEXTS)] = moved
        else:
            whole[name] = odd_value(rng)
    return encoded(value)


def _places(value: Json) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        own: list[tuple[Any, Any]] = [(value, name) for name in value]
        return own + [place for part in value.values() for place in _places(part)]
    if isinstance(value, list):
        own = [(value, index) for index in range(len(value))]
        return own + [place for part in value for place in _places(part)]
    return []


def cut(rng: Random, value: Json) -> bytes:
    body = encoded(value)
    return body[: rng.randrange(len(body))]


def flipped(rng: Random, value: Json) -> bytes:
    body = bytearray(encoded(value))
    for _ in range(rng.choice((1, 2, 20))):
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return bytes(body)


def doubled(rng: Random, value: Json) -> bytes:
    """A name twice: the last one counts for most readers, and must not confuse anyone."""
    body = encoded(value)
    name = rng.choice(("status", "request_id", "outputs", "error", "id"))
    extra = f'"{name}": '.encode() + encoded(odd_value(rng))
    first, last = body[:1] + extra + b", " + body[1:], body[:-1] + b", " + extra + b"}"
    return rng.choice((first, last)) if len(body) > 2 else body


def in_other_bytes(rng: Random, value: Json) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    return rng.choice(
        (
            b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass"),
            text.encode("utf-16", "surrogatepass"),
            text.encode("utf-32", "surrogatepass"),
            text.encode("utf-8", "surrogatepass")[:-3] + b"\xff\xc0\x80",
            b"\0" * rng.choice((1, 1000)) + text.encode("utf-8", "surrogatepass"),
            b"  \n" * rng.choice((1, 30_000)) + text.encode("utf-8", "surrogatepass"),
        )
    )


def of_numbers(rng: Random, _: Json) -> bytes:
    number = rng.choice((b"NaN", b"-Infinity", b"1e999", b"9" * 4300, b"9" * 4301, b"1" * 90_000))
    return b'{"status": "completed", "outputs": {"c1": {"value": %s}}}' % number


def of_depth(rng: Random, _: Json) -> bytes:
    levels = rng.choice((190, 201, 990, 5_000, 100_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * levels + b"1" + closing * levels
    return b'{"status": "completed", "outputs": {"c1": {"value": %s}}}' % deep


def of_size(rng: Random, value: Json) -> bytes:
    if rng.random() < 0.5:
        many = {f"c{n}": {"value": n} for n in range(rng.choice((900, 5_000)))}
        return encoded({"status": "completed", "outputs": many})
    return encoded(value) + b" " * (LARGEST_ANSWER + 1)


def of_something_else(rng: Random, _: Json) -> bytes:
    return rng.choice(
        (
            *(b"", b"null", b"[]", b'""', b"0", b"true", b"{}", b"{", b"OK", b"\0" * 100),
            *(
                b"<!DOCTYPE html><html><h1>502 Bad Gateway</h1></html>",
                b"<?xml version='1.0'?><a/>",
            ),
            *(encoded(odd_value(rng)), rng.randbytes(rng.choice((1, 100, 5_000)))),
            encoded({"error": {"code": rng.choice(CODES), "message": rng.choice(ODD_TEXTS)}}),
            encoded({"error": rng.choice(ODD_TEXTS), "message": rng.choice(ODD_TEXTS)}),
            encoded(
                {"status": "failed", "error": {"code": odd_value(rng), "message": "x" * 99_999}}
            ),
        )
    )


BODIES: Sequence[Callable[[Random, Json], bytes]] = (
    *(with_a_wrong_place, with_a_wrong_place, with_a_wrong_place, cut, flipped, doubled),
    *(in_other_bytes, of_numbers, of_depth, of_size, of_something_else, of_something_else),
)

# --- the wire ---------------------------------------------------------------------------------


def wire(status: int, headers: Sequence[tuple[str, str]], body: bytes, length: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def junk_headers(rng: Random) -> list[tuple[str, str]]:
    """Names that are heeded or known, with values of no sense."""
    names = (
        *("Retry-After", "Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "Date"),
        *("Content-Type", "Set-Cookie", "Location", "Connection", "X-Junk", "Alt-Svc", "Upgrade"),
    )
    values = (
        *(
            *NUMBERS,
            *DATES,
            "a=b; Domain=example.com; Max-Age=99999999",
            "x=\x01",
            "=;;=,",
            "é\u202e",
        ),
        *("text/html; charset=klingon", "close", "http://evil.example/", "x" * 60_000, "h3=':443'"),
    )
    return [(rng.choice(names), rng.choice(values)) for _ in range(rng.randrange(4))]


def packed(rng: Random, body: bytes) -> tuple[str, bytes]:
    """A `Content-Encoding` and what comes under it: true, broken, nested or a bomb."""
    bomb = packed_space(rng.choice((LARGEST_ANSWER, LARGEST_ANSWER * 8)))
    whole = gzip.compress(body)
    return rng.choice(
        (
            *(("gzip", whole), ("gzip", whole[:-4]), ("gzip", body), ("gzip", b""), ("gzip", bomb)),
            *(("gzip, gzip", gzip.compress(bomb)), ("GZIP", whole + b"junk"), ("br", body)),
            *(
                ("deflate", zlib.compress(body)),
                ("deflate", body),
                ("zstd", body),
                ("gzip,", whole),
            ),
            ("klingon", body),
        )
    )


@cache
def packed_space(size: int) -> bytes:
    """A JSON value of so many bytes, a thousandth of that on the wire."""
    return gzip.compress(b"[]".rjust(size))


def no_http(rng: Random, body: bytes, request: bytes) -> bytes:
    """What is no answer of HTTP/1.1, or hardly; also the request itself, with all its headers."""
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = f"{len(body):x}".encode()
    return rng.choice(
        (
            *(b"", rng.randbytes(200), b"\0" * 500, b"SSH-2.0-OpenSSH_9\r\n", body, request),
            *(b"HTTP/1.1\r\n\r\n", b"HTTP/0.9 200\r\n\r\n" + body, b"HTTP/2 200 OK\r\n\r\n" + body),
            b"HTTP/1.1 200 OK\r\n" + request.partition(b"\r\n")[2],
            b"HTTP/1.1 200 OK\r\nno colon " + request.replace(b"\r\n", b" ")[:9_000] + b"\r\n\r\n",
            b"HTTP/1.1 200 " + request.replace(b"\r\n", b" ")[:9_000] + b"\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * rng.choice((1, 500)) + wire(200, (), body),
            *(chunk + size + b"\r\n" + body + b"\r\n0\r\n\r\n", chunk + b"zz\r\n" + body),
            *(
                chunk + b"-5\r\n" + body,
                chunk + b"f" * 30 + b"\r\n" + body,
                chunk + size + b"\r\n" + body,
            ),
            chunk
            + size
            + b";ext="
            + b"x" * 9_000
            + b"\r\n"
            + body
            + b"\r\n0\r\nTrailer: 1\r\n\r\n",
            *(wire(200, (), body, length) for length in ("-1", "9" * 30, "1e3", "0x10", "5, 6")),
            *(wire(200, (), body, str(len(body) + more)) for more in (1, 1000)),
            wire(200, (), body, str(max(0, len(body) - 3))),
            wire(200, [("A" * n, "x") for n in range(1, 300)], body),
            wire(200, [("X", "y" * 200_000)], body),
            *(wire(200, (), body) + wire(200, (), b'{"status": "completed", "outputs": {}}'),),
        )
    )


@dataclass(frozen=True)
class Bad:
    """A bad answer; `status` is 0 for what is no HTTP."""

    status: int
    body: bytes
    raw: Raw

    @property
    def is_a_refusal(self) -> bool:
        """Whether it may say that the request was not processed, so that it may be repeated."""
        return 300 <= self.status < 500 or self.status == 503 or b'"code"' in self.body


def hostile(rng: Random, right: Json, request: bytes) -> Bad:
    """One bad answer to a request that should have been answered with `right`."""
    body = rng.choice(BODIES)(rng, json.loads(json.dumps(right)))
    kind = rng.randrange(10)
    if kind == 0:
        return Bad(0, body, Raw(no_http(rng, body, request), closes=rng.random() < 0.8))
    status = rng.choice((200, 200, 200, 200, rng.choice(STATUSES), rng.randrange(100, 1000)))
    headers = junk_headers(rng) if kind < 4 else []
    if kind == 4:
        coding, body = packed(rng, body)
        headers = [*headers, ("Content-Encoding", coding)]
    if kind == 5:  # a server that shows what it was sent
        body = rng.choice((request, encoded({"error": {"code": "E", "message": request.decode()}})))
    return Bad(status, body, Raw(wire(status, headers, body)))


STATUSES = (
    *(200, 201, 202, 204, 206, 301, 302, 307, 308, 304, 400, 401, 402, 403, 404, 405, 408, 409),
    *(410, 413, 418, 422, 425, 429, 451, 500, 502, 503, 504, 520, 101, 102, 103, 599, 999),
)
