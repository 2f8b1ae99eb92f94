"""``/openapi.json``: the routes and their declarations as an OpenAPI 3.1 document."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec

from agent import __version__
from agent.http.answers import Error
from agent.http.guard import SAFE_METHODS
from agent.http.requests import DECLARED, NULL, Declared
from agent.http.responses import status_of
from agent.http.route import JSON, Route
from agent.words import Json

OF_EVERY_ROUTE = (
    *("forbidden_host", "forbidden_origin", "body_too_large", "body_timeout", "internal_error"),
    *("bad_request", "request_header_fields_too_large", "not_implemented"),
)
"""Codes of errors that are found before the route is known, or that have no cause in it."""


TOKEN = "token"

OF_A_BODY = ("invalid_json", "not_an_object", "unsupported_media_type", "invalid_field")


def document(routes: Iterable[Route]) -> Json:
    """Return the document that describes these routes."""
    routes = tuple(routes)
    types = [
        declared
        for route in routes
        for declared in (route.body, route.query, *route.answers.values())
        if declared is not None
    ]
    schemas, components = msgspec.json.schema_components(
        [*types, Error], ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip([*types, Error], schemas, strict=True))
    for declared in DECLARED:
        _complete(components[declared.__name__], declared)
    in_query = {
        route.query: components.pop(route.query.__name__) for route in routes if route.query
    }
    paths: dict[str, Json] = defaultdict(dict)
    for route in routes:
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        paths[path][route.method.lower()] = _operation(route, by_type)
        if route.query:
            parameters = paths[path][route.method.lower()].setdefault("parameters", [])
            parameters += _in_query(in_query[route.query])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chainbench-agent",
            "version": __version__,
            "summary": "Kernel-level evidence for benchmark runs.",
        },
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer"}},
        },
        # the empty one: an agent that requires no token
        "security": [{TOKEN: []}, {}],
    }


def _operation(route: Route, schemas: Mapping[object, Json]) -> Json:
    success = {kind: {"schema": schemas[answer]} for kind, answer in route.answers.items()}
    operation: Json = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "responses": {
            "200": {"description": HTTPStatus.OK.phrase, "content": success},
            **_errors(route, schemas[Error]),
        },
    }
    if route.is_open:
        operation["security"] = []
    if names := re.findall(r"<(\w+)>", route.path):
        operation["parameters"] = [_parameter(name) for name in names]
    if route.body is not None:
        content = {JSON: {"schema": schemas[route.body]}}
        required = any(field.required for field in msgspec.structs.fields(route.body))
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(declared: Json) -> list[Json]:
    """Return the fields of a query's schema as parameters, none of which can be null."""
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description"),
            "schema": schema,
        }
        for name, declared_as in declared["properties"].items()
        for schema in [_without_null(declared_as)]
    ]


def _without_null(schema: Json) -> Json:
    kinds: list[Json] = schema.get("anyOf", [schema])
    return next(kind for kind in kinds if kind != NULL)


def _errors(route: Route, schema: Json) -> Json:
    """Return the answers that are errors, by status; each names its codes."""
    codes: dict[int, list[str]] = defaultdict(list)
    of_body = OF_A_BODY if route.body else ()
    for code in (*of_body, *route.errors, *_of_tokens(route), *OF_EVERY_ROUTE):
        codes[status_of(code, is_refusal=True)].append(code)
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in codes[status]),
            "content": {JSON: {"schema": schema}},
        }
        for status in sorted(codes)
    }


def _of_tokens(route: Route) -> tuple[str, ...]:
    """Return the codes of errors of a request whose token is missing, or may not do this."""
    if route.is_open:
        return ()
    changing = () if route.method in SAFE_METHODS else ("read_only_token",)
    return ("unauthorized", *changing)


def _complete(schema: Json, declared: type[Declared]) -> None:
    """Add what types do not say: the rules that span fields, and that null stands for a default."""
    refused: list[Json] = [{"not": {"required": [name]}} for name in declared.refused]
    if rules := [*declared.rules, *refused]:
        schema["allOf"] = rules
    for field in msgspec.structs.fields(declared):
        of_field = schema["properties"][field.name]
        may_be_null = not field.required and field.name not in declared.not_null
        if not may_be_null or NULL in of_field.get("anyOf", ()):
            continue
        about = {key: of_field.pop(key) for key in ("description", "default") if key in of_field}
        schema["properties"][field.name] = {**about, "anyOf": [of_field, NULL]}
