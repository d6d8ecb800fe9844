"""Reading the body of a run request (BitScale API v1, 5.5, "Request Body")."""

import json
from typing import NoReturn, cast

from enricher.simulator.errors import ErrorCode, Refused
from enricher.simulator.grids import Grid
from enricher.simulator.messages import JsonObject, json_text
from enricher.simulator.runs import Mode, Submission


def read_submission(body: bytes, grid: Grid) -> Submission:
    """The run that a request asks for, or the documented refusal.

    Labels that the grid does not know, and labels that are missing, are no error: the document's
    own async example leaves one out. `webhook_url` is reserved for future use, and passed over.
    """
    fields = _json_object(body)
    inputs_json = _inputs(fields)
    mode = _mode(fields)
    _check_source(fields, grid)
    return Submission(mode, inputs_json, _output_columns(fields))


def _json_object(body: bytes) -> JsonObject:
    try:
        fields = json.loads(body, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise Refused(ErrorCode.MISSING_REQUIRED_FIELD, "the body is malformed JSON") from None
    if not isinstance(fields, dict):
        raise Refused(ErrorCode.MISSING_REQUIRED_FIELD, "the body is no JSON object")
    return cast(JsonObject, fields)


def _not_json(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _inputs(fields: JsonObject) -> str:
    inputs = fields.get("inputs")
    if inputs is None:
        raise Refused(ErrorCode.MISSING_REQUIRED_FIELD, "inputs is missing")
    if not isinstance(inputs, dict):
        raise Refused(ErrorCode.INVALID_REQUEST, "inputs must be an object")
    try:
        text = json_text(inputs)
        # A lone surrogate and 1e999 can be read as JSON, and cannot be written again.
        text.encode()
    except (ValueError, RecursionError):
        raise Refused(ErrorCode.INVALID_INPUTS) from None
    return text


def _mode(fields: JsonObject) -> Mode:
    """An omitted mode means sync."""
    mode = fields.get("mode")
    try:
        return Mode.SYNC if mode is None else Mode(cast(str, mode))
    except ValueError:
        raise Refused(ErrorCode.INVALID_REQUEST, 'mode must be "sync" or "async"') from None


def _check_source(fields: JsonObject, grid: Grid) -> None:
    """A run needs an API source; the first one is used unless the request names one."""
    if not grid.api_sources:
        raise Refused(ErrorCode.MISSING_SOURCE, grid.id)
    if not grid.has_source_column:
        raise Refused(ErrorCode.MISSING_SOURCE_COLUMN, grid.id)
    source_id = fields.get("source_id")
    if source_id is not None and source_id not in [source.id for source in grid.api_sources]:
        raise Refused(ErrorCode.INVALID_SOURCE)


def _output_columns(fields: JsonObject) -> tuple[str, ...] | None:
    """Unknown ids are no error here: INVALID_OUTPUT_COLUMN is documented for /curl alone."""
    columns = fields.get("output_columns")
    if columns is None:
        return None
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise Refused(ErrorCode.INVALID_REQUEST, "output_columns must be a list of column ids")
    return cast(tuple[str, ...], tuple(columns))
