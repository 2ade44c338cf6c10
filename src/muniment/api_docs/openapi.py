"""The OpenAPI 3.1 document of the interface, with errors described as they really are."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, License, Schema, SecurityScheme, Server, Tag
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from muniment import __version__
from muniment.problems import MEDIA_TYPE, known_problems

_INTRODUCTION = """\
Gather documents, search them, and get passages with their evidence. Programs send an API key: \
`Authorization: Bearer mun_…`. People sign in at `/v1/sign-in`: the session is a cookie, and what \
changes something also needs the header `X-CSRF-Token` with the token that signing in returned. \
Bodies are JSON in snake_case, times are RFC 3339 in \
UTC, ids are UUIDv7. Lists take `limit` and `cursor` and return `items` and `next_cursor`. Every \
error is `application/problem+json` with a stable `code`. Every response names its \
`X-Request-ID`."""

_TAGS = {
    "sign-in": "Signing up, in and out; passwords and sessions.",
    "tenancy": "The organization: members, workspaces, keys, usage and the audit log.",
    "operator": "All organizations of the installation, with an operator's key.",
    "documents": "Importing, listing and reading documents.",
    "search": "Finding passages.",
    "jobs": "Work that takes time.",
    "process": "Health and metrics, without a key.",
}


def openapi_config() -> OpenAPIConfig:
    """Return how the framework describes the application, served at /schema/openapi.json."""
    return OpenAPIConfig(
        title="Muniment",
        version=__version__,
        description=_INTRODUCTION,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        servers=[Server(url="/")],
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        components=Components(
            security_schemes={
                "api_key": SecurityScheme(
                    type="http", scheme="bearer", description="An organization's key, `mun_…`."
                ),
                "session": SecurityScheme(
                    type="apiKey",
                    name="muniment_session",
                    security_scheme_in="cookie",
                    description="The cookie that signing in sets; over https its name begins "
                    "with `__Host-`.",
                ),
                "operator_key": SecurityScheme(
                    type="http", scheme="bearer", description="An operator's key, `muo_…`."
                ),
            }
        ),
        use_handler_docstrings=True,
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, after_request=_refuse_pages
        ),
        render_plugins=[_JsonDocument()],
    )


def openapi_document(app: Litestar) -> dict[str, Any]:
    """Return the application's OpenAPI document as plain values; built once."""
    document: dict[str, Any] | None = app.state.get("openapi_document")
    if document is None:
        document = _with_problems(app.openapi_schema.to_schema())
        app.state["openapi_document"] = document
    return document


class _JsonDocument(OpenAPIRenderPlugin):
    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type="application/json")  # type: ignore[arg-type]

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002 - ours has the errors
        return msgspec.json.encode(openapi_document(request.app))


def _refuse_pages(response: Response[Any]) -> Response[Any]:
    # The framework answers unknown addresses below /schema with a page of its own.
    if response.status_code == NotFoundException.status_code:
        raise NotFoundException
    return response


class ClosedStructs(OpenAPISchemaPlugin):
    """Says of a struct that refuses unknown fields that it has no others.

    The framework describes structs as open, whatever they are.
    """

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Tell whether a field holds such a struct."""
        return (
            not field_definition.is_union
            and field_definition.is_subclass_of(msgspec.Struct)
            and field_definition.annotation.__struct_config__.forbid_unknown_fields
        )

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Describe it as the framework does, and close it."""
        schema = StructSchemaPlugin().to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Describe failures as problems; the framework would describe its own error body."""
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _problem_schema()
    components["responses"] = {
        "Problem": {
            "description": "The request failed.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    for path in document.get("paths", {}).values():
        for operation in path.values():
            if not isinstance(operation, dict) or "responses" not in operation:
                continue
            responses = operation["responses"]
            kept = {status: body for status, body in responses.items() if status < "400"}
            # The framework takes the `None` of `Response[None]` for a body, which 204 has not.
            kept.get("204", {}).pop("content", None)
            operation["responses"] = kept | {"default": {"$ref": "#/components/responses/Problem"}}
    return document


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "An error (RFC 9457).",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "request_id", "errors"],
        "properties": {
            "type": text
            | {"format": "uri-reference", "description": "Where the code is described."},
            "title": text | {"description": "The kind of problem; the same for each occurrence."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": text | {"description": "What happened this time and what to do about it."},
            "code": text
            | {
                "description": "Stable name of the kind of problem, to be relied on by programs.",
                "enum": [problem.code for problem in known_problems()],
            },
            "request_id": text | {"description": "Names the request in the log."},
            "errors": {
                "type": "array",
                "description": "The faults of the payload, one by one.",
                "items": {
                    "type": "object",
                    "required": ["detail"],
                    "properties": {
                        "detail": text | {"description": "What is wrong there."},
                        "pointer": text
                        | {"description": "Where in the body: a JSON pointer as a URI fragment."},
                        "parameter": text | {"description": "Which query or path parameter."},
                    },
                    "additionalProperties": text,
                },
            },
        },
        "additionalProperties": True,
    }
