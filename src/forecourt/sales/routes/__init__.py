"""HTTP of sales."""

from fastapi import APIRouter

from forecourt.sales.routes import authorisations, listing, stream
from forecourt.sales.routes.checkout import Till, hot_routes

router = APIRouter(prefix="/api/v1")
for _part in (listing, authorisations, stream):
    router.include_router(_part.router)

__all__ = ["Till", "hot_routes", "router"]
