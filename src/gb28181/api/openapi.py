"""OpenAPI 3.1 from the table of endpoints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gb28181 import __version__
from gb28181.api.routing import PREFIX, Model, Route

_TEMPLATE: Final = "#/components/schemas/{model}"
_PATH_PARTS: Final = {
    "device_id": "Identifier of the device, usually 20 digits",
    "channel_id": "Identifier of the channel, usually 20 digits",
    "session_id": "`session_id` of an opened session",
    "order_id": "`order_id` of an order to a device",
    "firmware_id": "`firmware_id` of a firmware file",
    "job_id": "`job` of a started job",
    "number": "Number of a preset (1 to 255), cruise track, scan or switch (0 to 255)",
    "preset": "Number of a preset, 1 to 255",
    "alarm_id": "`alarm_id` of an alarm",
    "topic": "catalog, alarm, mobile_position or ptz_position",
    "username": "Name of the user",
}
_ERRORS: Final = {
    400: "The request is malformed; `detail.errors` says where",
    401: "Not logged in, or not any more",
    403: "Logged in, but without the right",
    404: "No such thing",
    409: "It contradicts what is there",
    429: "Too many attempts or requests; see Retry-After",
    501: "This server cannot do it; the message says what it can do instead",
    502: "The device refused",
    503: "The device is offline, or a part of the server cannot serve now",
    504: "The device did not do what was waited for; `stage` says how far it came",
}


class ErrorDetail(Model):
    """`message` says what was seen, what was expected and what to do; `stage` how far a stream had come."""

    code: str
    message: str
    stage: str | None = None
    detail: dict[str, Any] | None = None
    error_id: str | None = None


class Error(Model):
    error: ErrorDetail


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI document of these endpoints."""
    inputs = [(model, "validation") for route in routes for model in (route.request,) if model]
    outputs = [(model, "serialization") for route in routes for model in (route.response,) if model]
    _, schemas = models_json_schema([*inputs, *outputs, (Error, "serialization")], ref_template=_TEMPLATE)  # type: ignore[list-item]  # a tuple of model and Literal is inferred as str
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route)
    paths[f"{PREFIX}/events"] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gb28181",
            "version": __version__,
            "description": "Times are RFC 3339 in UTC. Errors are `{error: {code, message, stage?, detail?}}`. "
            "`message`, and what else is a sentence for people, is told in Chinese or English by `Accept-Language`, in English "
            "where it does not say; `Content-Language` says which it is. Programs go by `code`. "
            "Lists come in pages: `next` of one is `cursor` of the following. Links to media are paths on this server.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"bearer": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    summary, _, description = route.text.partition("\n")
    right = f"Needs the right `{route.right}`." if route.right else "Needs no login."
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.path.split("/")[1]],
        "summary": summary,
        "description": "\n\n".join(part for part in (re.sub(r"\s+", " ", description).strip(), right) if part),
        "parameters": [*_path_parameters(route.path), *_query_parameters(route.query)],
        "responses": _responses(route),
    }
    if route.request is not None:
        schema = {"$ref": _TEMPLATE.format(model=route.request.__name__)}
        required = any(field.is_required() for field in route.request.model_fields.values())
        operation["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    if route.right is None:
        operation["security"] = []
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _PATH_PARTS[name], "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": part.pop("description", ""),
            "schema": part,
        }
        for name, part in schema["properties"].items()
    ]


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {str(route.status): {"description": "Elsewhere" if route.status == 307 else "Done"}}
    if route.response is not None:
        schema = {"$ref": _TEMPLATE.format(model=route.response.__name__)}
        responses[str(route.status)]["content"] = {"application/json": {"schema": schema}}
    elif route.produces:
        responses[str(route.status)]["content"] = {route.produces: {"schema": {"type": "string"}}}
    statuses = {*route.errors}
    if route.right is not None:
        statuses |= {401, 403, 429}
    if route.query or route.request or "{" in route.path:
        statuses.add(400)
    for status in sorted(statuses):
        content = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model="Error")}}}
        responses[str(status)] = {"description": _ERRORS[status], "content": content}
    return responses


def _events() -> dict[str, Any]:
    return {
        "operationId": "events",
        "tags": ["events"],
        "summary": "Sends what happens as JSON messages over a WebSocket.",
        "description": 'The token comes in the Authorization header, or in the first message `{"token": "…"}`. '
        'The first answer is `{"type": "ready"}`; each event has `type`, `at` and its own fields.',
        "responses": {"101": {"description": "The WebSocket is open"}},
    }
