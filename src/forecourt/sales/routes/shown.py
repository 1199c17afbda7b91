"""Sales as screens see them: with the names of station and product beside the numbers."""

from collections.abc import Sequence

from forecourt.core.db import ReadSession
from forecourt.sales.schemas import ProductNameOut, SaleOut
from forecourt.sales.types import Sale
from forecourt.sites import queries as sites

SALE_FIELDS = tuple(
    name for name in SaleOut.model_fields if name not in {"station_name", "station_timezone", "product"}
)


async def shown(session: ReadSession, sales: Sequence[Sale]) -> list[SaleOut]:
    stations = await sites.stations_many(session, [sale.station_id for sale in sales])
    products = await sites.products_many(session, [sale.product_id for sale in sales])
    return [
        SaleOut(
            **{name: getattr(sale, name) for name in SALE_FIELDS},
            station_name=stations[sale.station_id].name,
            station_timezone=stations[sale.station_id].timezone,
            product=ProductNameOut(
                name=products[sale.product_id].code, name_zh=products[sale.product_id].name
            ),
        )
        for sale in sales
    ]
