"""Pieces that OpenAPI documents are put together from."""

from collections.abc import Mapping, Sequence

Schema = dict[str, object]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}


def or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": [*values]}


def exactly(value: str) -> Schema:
    return {"const": value}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(
    fields: Mapping[str, Schema], *, optional: Sequence[str] = (), closed: bool = True
) -> Schema:
    """An object of these fields and, if `closed`, no others."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": [name for name in fields if name not in optional],
        "additionalProperties": not closed,
    }


def dictionary(values: Schema) -> Schema:
    """An object whose names are data."""
    return {"type": "object", "additionalProperties": values}


def answer(description: str, schema: Schema, headers: Mapping[str, Schema] | None = None) -> Schema:
    """A response with a JSON body."""
    told = {name: {"schema": schema} for name, schema in (headers or {}).items()}
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
        **({"headers": told} if told else {}),
    }


def parameter(name: str, where: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": schema,
        "description": description,
    }


def body(schema: Schema) -> Schema:
    """A JSON request body, which is required."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def operation(
    name: str,
    summary: str,
    responses: Mapping[str, Schema],
    parameters: Sequence[Schema] = (),
    request: Schema | None = None,
) -> Schema:
    return {
        "operationId": name,
        "summary": summary,
        **({"parameters": [*parameters]} if parameters else {}),
        **({"requestBody": request} if request else {}),
        "responses": dict(responses),
    }


def whole(
    title: str,
    prefix: str,
    paths: Mapping[str, Schema],
    schemas: Mapping[str, Schema],
    security: Mapping[str, Schema],
) -> Schema:
    """The document of an API below `prefix`; a request needs every scheme of `security`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": "As the vendor's page tells it, served by a local stand-in.",
        },
        "servers": [{"url": prefix}],
        "security": [{name: [] for name in security}],
        "paths": dict(paths),
        "components": {"schemas": dict(schemas), "securitySchemes": dict(security)},
    }
