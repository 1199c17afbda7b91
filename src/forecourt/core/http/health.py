"""`/healthz`: this process lives. `/readyz`: each thing it stands on answers, by name."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from forecourt.core.errors import Refusal

CHECK_TIMEOUT_S = 2.0
SAFE_SQLITE = (3, 51, 3)

Check = Callable[[], Awaitable[None]]
"""Returns when the dependency answers; raises what went wrong."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    ok: bool
    detail: str = ""


def sqlite_warning(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str | None:
    """SQLite before 3.51.3 can lose a committed WAL when two connections checkpoint at once."""
    if version >= SAFE_SQLITE:
        return None
    found = ".".join(str(part) for part in version)
    return (
        f"SQLite {found} has the WAL-reset bug (fixed in 3.51.3). One process with one writer is safe; "
        "do not open the database file with another program while this runs."
    )


async def readiness(checks: Mapping[str, Check], warnings: tuple[str, ...] = ()) -> Response:
    """Ask every dependency at once; 503 when one does not answer within two seconds."""
    names = list(checks)
    results = dict(zip(names, await asyncio.gather(*(_asked(checks[name]) for name in names)), strict=True))
    ready = all(result.ok for result in results.values())
    body = {
        "status": "ready" if ready else "not_ready",
        "checks": {name: {"ok": result.ok, "detail": result.detail} for name, result in results.items()},
        "warnings": list(warnings),
    }
    headers = {"cache-control": "no-store"}
    if ready:
        return JSONResponse(body, headers=headers)
    return JSONResponse(body, HTTPStatus.SERVICE_UNAVAILABLE, {**headers, "retry-after": "2"})


async def _asked(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return CheckResult(ok=False, detail=f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Refusal as refusal:
        return CheckResult(ok=False, detail=refusal.detail)
    except (OSError, SQLAlchemyError) as error:
        return CheckResult(ok=False, detail=type(error).__name__)
    return CheckResult(ok=True)
