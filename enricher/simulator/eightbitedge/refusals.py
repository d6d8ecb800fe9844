"""Answers that refuse a whole request. Documented: the codes without a remark."""

from enum import Enum, unique
from http import HTTPStatus

from enricher.simulator.messages import JsonObject


@unique
class Code(Enum):
    """A code, its status, and the message of this stand-in (the first is word for word)."""

    BATCH_TOO_LARGE = (422, "Batch exceeds the maximum allowed size for your plan.")
    VALIDATION_FAILED = (422, "The request is not valid.")
    IDEMPOTENCY_KEY_REUSE = (422, "This Idempotency-Key belongs to another request.")
    IDEMPOTENCY_CONFLICT = (409, "The request with this Idempotency-Key is still in flight.")
    INSUFFICIENT_SCOPE = (403, "The token lacks the scope of this endpoint.")

    # The document names no code for these, and is silent on wrong paths and methods.
    UNAUTHORIZED = (401, "The bearer token is missing or not valid.")
    RATE_LIMITED = (429, "Too many requests.")
    NOT_FOUND = (404, "Nothing is found at this path.")
    METHOD_NOT_ALLOWED = (405, "This path takes POST only.")
    INTERNAL_ERROR = (500, "The server met an unexpected error.")

    @property
    def status(self) -> HTTPStatus:
        return HTTPStatus(self.value[0])

    def body(self, details: JsonObject) -> JsonObject:
        """The shape of all errors, of items too ("Response shape", "Batch size limits")."""
        return {"code": self.name.lower(), "message": self.value[1], "details": details}


class Refused(Exception):
    """A request that is answered with an error; the service catches it and writes the answer."""

    def __init__(self, code: Code, details: JsonObject | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.details = details or {}
