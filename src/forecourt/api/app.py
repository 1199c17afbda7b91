"""Builds the HTTP application out of the modules' routers. What is mounted stands here, by name."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from forecourt.access.flows import Authenticator
from forecourt.access.routes import router as access
from forecourt.api.openapi import document
from forecourt.api.services import Services
from forecourt.charging.routes import router as charging
from forecourt.core.actor import Permission
from forecourt.core.db import Database
from forecourt.core.http import check_declarations, provide, public, require
from forecourt.core.http.envelope import Envelope
from forecourt.core.http.health import readiness, sqlite_warning
from forecourt.core.http.hot import HotRoute
from forecourt.core.http.limits import Limits, RequestLimits
from forecourt.core.http.metrics import HttpMetrics, exposition
from forecourt.core.http.permissions import Declaration, declare
from forecourt.core.http.problem import install_problems
from forecourt.core.http.reference import page
from forecourt.core.http.static import StaticSite
from forecourt.customers.routes import router as customers
from forecourt.deliveries.routes import router as deliveries
from forecourt.devices.routes import router as devices
from forecourt.operators.routes import router as operators
from forecourt.payments.routes import router as payments
from forecourt.pricing.routes import router as pricing
from forecourt.sales.routes import hot_routes as sales_hot
from forecourt.sales.routes import router as sales
from forecourt.sites.routes import router as sites

API = "/api/v1"
PLATFORM_DOCS = Permission("platform:docs")
PLATFORM_METRICS = Permission("platform:metrics")
LOCALES = ("zh-CN", "en")
BUILD_COMMAND = "make web"

ROUTERS: Sequence[APIRouter] = (
    access,
    charging,
    customers,
    deliveries,
    devices,
    operators,
    payments,
    pricing,
    sales,
    sites,
)
HOT: Sequence[HotRoute] = (*sales_hot,)


def build_api(services: Services) -> FastAPI:
    """The whole HTTP application, ready to be served.

    Raises:
        UndeclaredEndpoint: an endpoint does not say who may call it.
    """
    app = FastAPI(
        title="forecourt",
        version=services.version,
        openapi_url=None,  # Ours, below: it knows permissions and hot routes.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    install_problems(app)
    _wire(app, services)
    # Hot routes first: the list is searched from its front.
    app.router.routes[:0] = HOT
    for router in ROUTERS:
        app.include_router(router, prefix="" if router.prefix.startswith(API) else API)
    app.router.routes.extend(_own_routes(app, services))
    app.add_middleware(RequestLimits, limits=Limits(trusted_origins=services.trusted_origins))
    app.add_middleware(
        Envelope,
        clock=services.db.clock,
        random=services.db.random,
        metrics=HttpMetrics(services.registry),
        secure=services.secure,
    )
    check_declarations(app)
    return app


def _operation_id(route: Any) -> str:
    """`sites_list_stations`: what generated clients call it."""
    return f"{route.tags[0]}_{route.name}" if route.tags else str(route.name)


def _wire(app: FastAPI, services: Services) -> None:
    authenticator = Authenticator(services.db)
    app.state.authenticate = authenticator
    provide(app, services.db, services.vault, services.passwords, authenticator, *services.parts)


def _own_routes(app: FastAPI, services: Services) -> list[BaseRoute]:
    """What belongs to the process itself."""
    checks = {"database": services.db.ping, **services.checks}
    warnings = (*services.warnings, *_warnings(services.db))

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    async def readyz(_: Request) -> Response:
        return await readiness(checks, warnings)

    async def metrics(_: Request) -> Response:
        return exposition(services.registry)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document(app))

    async def docs(_: Request) -> Response:
        return HTMLResponse(page(document(app)))

    async def config(_: Request) -> Response:
        return JSONResponse(
            {
                "version": services.version,
                "demo": services.demo,
                "locale": services.locale,
                "locales": list(LOCALES),
                "currency": "CNY",
            }
        )

    async def home(_: Request) -> Response:
        return RedirectResponse("/console/", HTTPStatus.TEMPORARY_REDIRECT)

    for_docs = public() if services.demo else require(PLATFORM_DOCS)
    for_metrics = public() if services.demo else require(PLATFORM_METRICS)
    return [
        _get("/healthz", healthz, public(), "This process lives"),
        _get("/readyz", readyz, public(), "Each thing this process stands on, by name"),
        _get("/metrics", metrics, for_metrics, "Figures for Prometheus"),
        _get("/openapi.json", openapi, for_docs, "This document"),
        _get("/docs", docs, for_docs, "This document, for people"),
        _get(f"{API}/config", config, public(), "What a front end must know before anybody logs in", CONFIG),
        declare(Route("/", home, include_in_schema=False), public()),
        declare(Mount("/console", StaticSite(services.web / "console", BUILD_COMMAND)), public()),
        declare(Mount("/device", StaticSite(services.web / "terminal", BUILD_COMMAND)), public()),
    ]


CONFIG: dict[str, Any] = {
    "type": "object",
    "required": ["version", "demo", "locale", "locales", "currency"],
    "properties": {
        "version": {"type": "string"},
        "demo": {"type": "boolean"},
        "locale": {"type": "string"},
        "locales": {"type": "array", "items": {"type": "string"}},
        "currency": {"type": "string"},
    },
}


def _get(
    path: str, endpoint: Any, declaration: Declaration, summary: str, schema: dict[str, Any] | None = None
) -> HotRoute:
    response: dict[str, Any] = {"description": "OK"}
    if schema is not None:
        response["content"] = {"application/json": {"schema": schema}}
    operation = {
        "tags": ["process"],
        "operationId": f"process_{endpoint.__name__}",
        "summary": summary,
        "responses": {"200": response},
    }
    return HotRoute(path, endpoint, methods=["GET"], declaration=declaration, operation=operation)


def _warnings(db: Database) -> tuple[str, ...]:
    warning = sqlite_warning() if db.dialect == "sqlite" else None
    return () if warning is None else (warning,)
