"""The error codes of the API with their HTTP status (BitScale API v1, 2 to 5 and 7).

The document gives two messages word for word (INVALID_API_KEY, RATE_LIMIT_EXCEEDED); the others
are this stand-in's own, since only the codes are documented.
"""

from enum import Enum, unique
from http import HTTPStatus


@unique
class ErrorCode(Enum):
    """A code, the status it is documented with, and the message of this stand-in."""

    INVALID_API_KEY = (HTTPStatus.UNAUTHORIZED, "Missing or invalid X-API-KEY header")
    RATE_LIMIT_EXCEEDED = (
        HTTPStatus.TOO_MANY_REQUESTS,
        "Bitscale external API rate limit exceeded ({detail} requests/second per workspace).",
    )
    FEATURE_DISABLED = (HTTPStatus.FORBIDDEN, "This workspace's plan does not include the API.")
    WORKSPACE_NOT_FOUND = (HTTPStatus.NOT_FOUND, "This API key leads to no workspace.")
    GRID_NOT_FOUND = (HTTPStatus.NOT_FOUND, "No grid {detail} in this workspace.")
    REQUEST_NOT_FOUND = (HTTPStatus.NOT_FOUND, "No run {detail} in this workspace.")
    MISSING_REQUIRED_FIELD = (HTTPStatus.BAD_REQUEST, "The request is incomplete: {detail}.")
    INVALID_REQUEST = (HTTPStatus.BAD_REQUEST, "The request is not valid: {detail}.")
    INVALID_INPUTS = (HTTPStatus.BAD_REQUEST, "The inputs cannot be written as JSON.")
    MISSING_SOURCE = (HTTPStatus.BAD_REQUEST, "Grid {detail} has no API source.")
    MISSING_SOURCE_COLUMN = (HTTPStatus.BAD_REQUEST, "Grid {detail} has no source column.")
    INVALID_SOURCE = (HTTPStatus.BAD_REQUEST, "The source_id names no API source of this grid.")
    INVALID_OUTPUT_COLUMN = (HTTPStatus.BAD_REQUEST, "{detail} is no output column of this grid.")
    RUN_FAILED = (HTTPStatus.INTERNAL_SERVER_ERROR, "The run failed in column {detail}.")
    ROTATE_FAILED = (HTTPStatus.INTERNAL_SERVER_ERROR, "The API key could not be rotated.")
    INTERNAL_ERROR = (HTTPStatus.INTERNAL_SERVER_ERROR, "The server met an unexpected error.")

    # The document is silent on wrong paths and methods. These two keep its error format.
    NOT_FOUND = (HTTPStatus.NOT_FOUND, "Nothing is found at this path.")
    METHOD_NOT_ALLOWED = (HTTPStatus.METHOD_NOT_ALLOWED, "This path takes {detail} only.")

    @property
    def status(self) -> HTTPStatus:
        return self.value[0]

    def message(self, detail: str) -> str:
        return self.value[1].replace("{detail}", detail)


class Refused(Exception):
    """A request that is answered with an error; the rules catch it and write the answer."""

    def __init__(self, code: ErrorCode, detail: str = "", status: HTTPStatus | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.status = status or code.status
        self.message = code.message(detail)
