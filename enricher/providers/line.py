"""One request with a key, and what its answer means whatever the API: safe by default.

For providers of APIs without a word of their own on these things. An answer that names the key is
blackened before anyone reads it.
"""

from collections.abc import Callable, Mapping

from enricher.model import Json, OnSent
from enricher.providers.base import parsed_error
from enricher.providers.keyed import DEADLINE, REDIRECTED, Carry, Keyed
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Answer, Transport
from enricher.verdicts import JobStops, Malformed, MaybeSent, Refused, Reply, Verdict

Meaning = Callable[[int, Json], Verdict]
"""What an answer means: its status, a 2xx or a 4xx, and its parsed body.

A 2xx whose body is no JSON never gets here; the body of such a 4xx is `None`.
"""

Words = Callable[[Json], tuple[str, str]]
"""`(code, message)` of the body of an error, each empty if absent."""


class Line:
    """Requests with one key over one transport.

    Args:
        carry: the headers that carry a key.
        words: reads an error; by default `error` as an object or a text, and `message`.
    """

    def __init__(
        self, transport: Transport, key: ApiKey, carry: Carry, words: Words = parsed_error
    ) -> None:
        self._requests = Keyed(transport, key, carry)
        self._words = words

    async def aclose(self) -> None:
        await self._requests.aclose()

    async def send(
        self,
        method: str,
        path: str,
        meaning: Meaning,
        on_sent: OnSent,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline: float = DEADLINE,
    ) -> Reply:
        """One request of JSON, answered within `deadline` seconds or not at all.

        Of its answers, 401 is the key's fate, 402, 403 and 3xx the job's; 429, and 503 with
        `Retry-After`, is a wait; any other 5xx may have been processed. `meaning` reads the rest.
        """
        heard = await self._requests.send(
            method, path, on_sent, params=params, content=content, deadline=deadline
        )
        if isinstance(heard, Reply):
            return heard
        answer, body = heard.answer, heard.body
        if answer.status < 300:
            verdict = body if isinstance(body, Malformed) else meaning(answer.status, body)
            return Reply(verdict, heard.signal)
        body = None if isinstance(body, Malformed) else body
        code, message = self._words(body)
        if answer.status == 401:
            return self._requests.rejected(heard, message or "missing or invalid key")
        verdict = _of_any(answer, code, message) or meaning(answer.status, body)
        return Reply(verdict, heard.signal)


def _of_any(answer: Answer, code: str, message: str) -> Verdict | None:
    """Answers that mean the same to every request; `None` for all others."""
    status = answer.status
    code = code or f"HTTP_{status}"
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return Refused()
    if status < 400:
        return JobStops(code, REDIRECTED, "Check the base URL.")
    if status == 402:
        return JobStops(code, message or "the server asks for payment")
    if status == 403:
        return JobStops(code, message or "the server refuses this account")
    if status >= 500:
        return MaybeSent(f"HTTP {status} {message}".strip())
    return None
