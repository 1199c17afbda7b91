"""The OpenAPI document: what the framework knows, and what it does not: permissions, problems, hot routes."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from forecourt.core.http.hot import HotRoute
from forecourt.core.http.permissions import DEVICE_COOKIE, STAFF_COOKIE, Public, endpoints
from forecourt.core.http.problem import MEDIA_TYPE, SCHEMA

PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
SECURITY_SCHEMES = {
    "staff": {"type": "apiKey", "in": "cookie", "name": STAFF_COOKIE},
    "terminal": {"type": "apiKey", "in": "cookie", "name": DEVICE_COOKIE},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def document(app: FastAPI) -> dict[str, Any]:
    """Made once; the routes do not change after the build."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for framework_own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework_own, None)
    schemas["Problem"] = SCHEMA
    components["securitySchemes"] = SECURITY_SCHEMES
    for endpoint in endpoints(app):
        route = endpoint.route.original_route
        if isinstance(route, HotRoute):
            for method in endpoint.methods:
                named = {"operationId": _named(method, endpoint.path), **route.operation}
                made["paths"].setdefault(endpoint.path, {})[method.lower()] = named
        for method in endpoint.methods:
            operation = made["paths"].get(endpoint.path, {}).get(method.lower())
            if operation is not None:
                _complete(
                    operation, endpoint.declaration.shown, public=isinstance(endpoint.declaration, Public)
                )
    app.openapi_schema = made
    return made


def _named(method: str, path: str) -> str:
    """An operation's name where its route gives none: `post_api_v1_sales_sale_id_payments`."""
    return re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_")


def _complete(operation: dict[str, Any], permission: str, *, public: bool) -> None:
    operation["x-permission"] = permission
    # `refusals()` keys by number, as the framework likes; in JSON every key is text.
    responses = {str(status): told for status, told in operation.get("responses", {}).items()}
    operation["responses"] = responses
    if "422" in responses:
        responses["422"] = {"description": "`core.invalid`: the request does not have this form.", **PROBLEM}
    if not public:
        operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
        responses.setdefault("401", {"description": "`core.unauthenticated`: log in first.", **PROBLEM})
        responses.setdefault("403", {"description": "`core.forbidden`: you may not do this.", **PROBLEM})
