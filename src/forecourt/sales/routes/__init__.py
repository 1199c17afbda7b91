"""HTTP of sales."""

from forecourt.sales.routes import authorisations, listing, stream
from forecourt.sales.routes.checkout import Till, hot_routes

routers = (listing.router, authorisations.router, stream.router)

__all__ = ["Till", "hot_routes", "routers"]
