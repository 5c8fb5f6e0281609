"""The OpenAPI 3.1 document, generated from the operations themselves, so that the two cannot differ."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from admin_web.api.body import FORM, JSON
from admin_web.api.operation import AnyOperation, Stream
from admin_web.api.problem import KINDS, PROBLEM_JSON, TYPE

Schema: TypeAlias = dict[str, Any]

PREFIX = "/api/v1"
REF = "#/components/schemas/{model}"
PROBLEM = {"$ref": REF.format(model="Problem")}

EVERYWHERE = ("bad-request", "unauthorized", "forbidden", "too-many-requests", "internal-error", "record-unavailable")
"""Problems that any operation may return."""

WRITES = ("request-timeout", "too-large", "unsupported-media-type", "refused", "still-at-it", "key-reused")

IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the write safe to repeat for two days: it is done once, and its response is sent again.",
    "schema": {"type": "string", "pattern": "^[ -~]{1,255}$"},
}


def described(operations: Sequence[AnyOperation], streams: Sequence[Stream], root: str = "") -> Schema:
    """Return the whole document. `root` is the path under which the site is reached."""
    schemas = _Schemas(operations)
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    for stream in streams:
        paths.setdefault(stream.path, {})[stream.method.lower()] = _stream(stream)
    paths["/openapi.json"] = {"get": _itself()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "dnc-gate", "version": version("dnc-gate"), "description": _ABOUT},
        "servers": [{"url": f"{root}{PREFIX}"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components | {"Problem": _problem()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


_ABOUT = "Do-Not-Call list, leads and overrides, for CRMs and dialers. docs/api.md has examples of each operation."


class _Untitled(GenerateJsonSchema):
    """A schema generator without titles, which would only repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """Return False for every field."""
        del schema
        return False


class _Schemas:
    """JSON Schemas of the operations' arguments and results; schemas that several operations share are components."""

    def __init__(self, operations: Iterable[AnyOperation]) -> None:
        models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
        for operation in operations:
            models += [(operation.gives, "serialization"), (operation.asks, "validation")]
        self._refs, made = models_json_schema(models, ref_template=REF, schema_generator=_Untitled)
        self.components: dict[str, Schema] = made["$defs"]

    def given(self, operation: AnyOperation) -> Schema:
        """Return a reference to the schema of an operation's result."""
        return self._refs[(operation.gives, "serialization")]

    def asked(self, operation: AnyOperation) -> Schema:
        """Return the schema of an operation's arguments, from path, query and body together."""
        return self.components[self._refs[(operation.asks, "validation")]["$ref"].rsplit("/", 1)[1]]


def _operation(operation: AnyOperation, schemas: _Schemas) -> Schema:
    asked = schemas.asked(operation)
    properties, required = asked.get("properties", {}), set(asked.get("required", ()))
    in_path = set(operation.in_path)
    placed = {name: "path" if name in in_path else "query" for name in properties}
    if operation.writes:
        placed = {name: "path" for name in properties if name in in_path}
    parameters = [
        {"name": name, "in": place, "required": name in required, "schema": _as_text(properties[name])}
        for name, place in placed.items()
    ]
    described: Schema = _named(operation, [*parameters, *([IDEMPOTENCY] if operation.writes else [])])
    if operation.writes:
        rest = {name: schema for name, schema in properties.items() if name not in in_path}
        described["requestBody"] = _body(operation, asked, rest, sorted(required - in_path))
    described["responses"] = _answers(operation, schemas.given(operation)) | _problems(
        [*EVERYWHERE, *(WRITES if operation.writes else ()), *operation.refuses]
    )
    return described


def _as_text(schema: Schema) -> Schema:
    """Return the schema of a parameter or form field.

    A parameter may be missing but is never null, so the schema has no null variant.
    """
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    plain = {name: value for name, value in schema.items() if name != "anyOf" and value is not None}
    text = plain | kinds[0] if kinds else schema
    items = text.get("items", {})
    # An item of any kind in JSON is text here.
    return text | {"items": items | {"type": "string"}} if items and not items.keys() & {"type", "$ref"} else text


def _named(operation: AnyOperation | Stream, parameters: list[Schema]) -> Schema:
    named: Schema = {
        "operationId": operation.name,
        "summary": operation.does,
        "description": f"Needs a token with the scope `{operation.scope}`.",
        "security": [{"bearer": []}],
    }
    return named | ({"parameters": parameters} if parameters else {})


def _body(operation: AnyOperation, asked: Schema, properties: Schema, required: list[str]) -> Schema:
    body = asked | {"properties": properties, "required": required}
    if not operation.file:
        content = {JSON: {"schema": body}}
        if operation.form:
            texts = {name: _as_text(schema) for name, schema in properties.items()}
            content[FORM] = {"schema": body | {"properties": texts}}
        return {"required": bool(required), "content": content}
    file = {"type": "string", "format": "binary", "description": "PDF, PNG, JPEG, TIFF, WAV, MP3 or EML."}
    fields = {name: _as_text(schema) for name, schema in properties.items()} | {operation.file: file}
    body |= {"properties": fields, "required": [*required, operation.file]}
    return {"required": True, "content": {"multipart/form-data": {"schema": body}}}


def _answers(operation: AnyOperation, given: Schema) -> Schema:
    content = {"application/json": {"schema": given}}
    if not operation.writes:
        return {"200": {"description": "The result.", "content": content}}
    replayed = {
        "Idempotency-Replayed": {
            "description": "Present when this is the response of an earlier request with the same key.",
            "schema": {"const": "true"},
        }
    }
    return {
        str(operation.status): {"description": "Done, and in force.", "content": content, "headers": replayed},
        "202": {"description": "Recorded, not yet in force.", "content": content, "headers": replayed},
    }


def _problems(slugs: Iterable[str]) -> Schema:
    """Return the problem responses of an operation, by status."""
    by_status: dict[str, list[str]] = {}
    for slug in slugs:
        by_status.setdefault(str(KINDS[slug][0]), []).append(slug)
    return {
        status: {
            "description": " ".join(f"`{slug}`: {KINDS[slug][1]}." for slug in found),
            "content": {PROBLEM_JSON: {"schema": PROBLEM}},
        }
        for status, found in sorted(by_status.items())
    }


def _stream(stream: Stream) -> Schema:
    responses = stream.document["responses"] | _problems([*EVERYWHERE, *stream.refuses])
    return _named(stream, []) | stream.document | {"responses": responses}


def _itself() -> Schema:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": "get-openapi",
        "summary": "This document.",
        "security": [],
        "responses": {"200": {"description": "The document.", "content": content}},
    }


def _problem() -> Schema:
    error = {"type": "object", "required": ["at", "detail"], "properties": {"at": _TEXT, "detail": _TEXT}}
    return {
        "type": "object",
        "description": "Problem details (RFC 9457). `type` is stable; `detail` is a sentence for people.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"enum": [TYPE + slug for slug in KINDS]},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "errors": {"type": "array", "items": error},
        },
    }


_TEXT = {"type": "string"}
