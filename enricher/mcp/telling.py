"""Results and errors of the tools, as the protocol has them.

A result is one JSON object, as text and as structured content. An error says the code, the message
and the mend, and never ends the server.
"""

import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, ParamSpec

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel

from enricher.errors import EnricherError

P = ParamSpec("P")


def result(data: Mapping[str, Any]) -> CallToolResult:
    """`data` as a result."""
    return CallToolResult(content=[_text(data)], structured_content=dict(data))


def told(
    shape: type[BaseModel],
) -> Callable[[Callable[P, Awaitable[Mapping[str, Any]]]], Callable[P, Awaitable[CallToolResult]]]:
    """A tool whose object, of this shape, is its result, and whose errors are the protocol's."""

    def decorate(
        tool: Callable[P, Awaitable[Mapping[str, Any]]],
    ) -> Callable[P, Awaitable[CallToolResult]]:
        @functools.wraps(tool)
        async def telling(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
            try:
                return result(await tool(*args, **kwargs))
            except EnricherError as error:
                return _failure(error)

        returned = Annotated[CallToolResult, shape]
        signature = inspect.signature(tool).replace(return_annotation=returned)
        telling.__signature__ = signature  # type: ignore[attr-defined]  # the server reads it
        telling.__annotations__ = {**tool.__annotations__, "return": returned}
        return telling

    return decorate


def _failure(error: EnricherError) -> CallToolResult:
    data = {"error": {"code": error.code, "message": error.message, "mend": error.mend}}
    return CallToolResult(content=[_text(data)], structured_content=data, is_error=True)


def _text(data: Mapping[str, Any]) -> TextContent:
    return TextContent(type="text", text=json.dumps(data, indent=2, ensure_ascii=False))
