"""The one API key of all tests, and the forms in which it might get about."""

import base64
import json
from collections.abc import Iterator, Sequence
from urllib.parse import quote

KEY = 'sk-c@nary/9+Zq=7%41&"x'
"""Of characters that look different in a URL, in JSON and in base64."""


def disguises(secret: str) -> Iterator[bytes]:
    """The forms in which a secret gets about."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield secret.encode().hex().encode()
    for before in range(3):  # where the secret begins in a group of three bytes
        padded = b"\0" * before + secret.encode()
        inside = slice(-(-before * 8 // 6), len(padded) * 8 // 6)
        yield base64.b64encode(padded)[inside]
        yield base64.urlsafe_b64encode(padded)[inside]


def assert_clean(where: str, content: bytes, forms: Sequence[bytes]) -> None:
    found = [form for form in forms if form in content]
    assert not found, f"an API key stands in {where}: {found}"
