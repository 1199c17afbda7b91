"""A small operator with one station of every energy: what most tests of the money path stand on."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forecourt.core.actor import Actor, Operator, OperatorId, Permission
from forecourt.core.db import Database, WriteSession
from forecourt.core.vault import Vault
from forecourt.customers import service as customers
from forecourt.deliveries import service as deliveries
from forecourt.deliveries.types import DeliveryReport, Purpose, Source
from forecourt.payments import service as payments
from forecourt.pricing import service as pricing
from forecourt.sales import queries as sale_queries
from forecourt.sales import service as sales
from forecourt.sales.types import Sale, SaleFilter
from forecourt.sites import service as sites
from forecourt.sites.types import Energy, Nozzle, Product, Station
from forecourt_kit.price import Preset, amount_fen
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom

OPERATOR = OperatorId(7)
STRANGER = OperatorId(8)
EVERYTHING = frozenset(
    map(
        Permission,
        [
            "sales:read",
            "sales:take",
            "sales:void",
            "sales:refund",
            "sales:authorise",
            "payments:read",
            "payments:take",
            "payments:top-up",
            "pricing:write",
            "sites:write",
        ],
    )
)


def staff(operator_id: OperatorId = OPERATOR) -> Actor:
    return Actor(scope=Operator(operator_id), subject="staff:anna", permissions=EVERYTHING)


VAULT = Vault({1: b"k" * 32}, 1, SeededRandom("vault"))
PRICES = {"95": 78500, "LNG": 52000, "CNG": 36500, "H2": 350000, "EV": 12000}
KINDS = {
    "95": (Energy.PETROL, Unit.L),
    "LNG": (Energy.LNG, Unit.KG),
    "CNG": (Energy.CNG, Unit.NM3),
    "H2": (Energy.HYDROGEN, Unit.KG),
    "EV": (Energy.EV, Unit.KWH),
}


@dataclass(slots=True)
class World:
    """Built by `build`. Nozzle n sells the n-th product of PRICES; all times hang on the database's clock."""

    database: Database
    actor: Actor
    station: Station
    products: dict[str, Product]
    nozzles: dict[str, Nozzle]
    totalizers: dict[int, int] = field(default_factory=dict)
    told: int = 0

    async def member(self, principal_fen: int = 0, bonus_fen: int = 0) -> int:
        """A member with money in the wallet."""

        async def verb(session: WriteSession) -> int:
            self.told += 1
            phone = f"138{self.told:08d}"
            member = await customers.create_member(session, self.actor, VAULT, name="王师傅", phone=phone)
            if principal_fen:
                await payments.top_up_cash(
                    session,
                    self.actor,
                    operator_id=self.actor.operator_id,
                    station_id=self.station.id,
                    member_id=member.id,
                    amount_fen=principal_fen,
                    bonus_fen=bonus_fen,
                )
            return member.id

        return await self.database.transact(verb)

    def report(
        self,
        product: str,
        quantity_e4: int,
        *,
        device_price_e4: int | None = None,
        device_amount_fen: int | None = None,
        started_at: datetime | None = None,
        preset: Preset | None = None,
        purpose: Purpose = Purpose.SALE,
        authorisation_id: int | None = None,
        nozzle_number: int | None = None,
    ) -> DeliveryReport:
        """What a dispenser tells of a fill that ended now: honest totalizers, the book's price."""
        nozzle = self.nozzles[product]
        before = self.totalizers.get(nozzle.id, 10_000_000)
        self.totalizers[nozzle.id] = before + quantity_e4
        self.told += 1
        price = PRICES[product] if device_price_e4 is None else device_price_e4
        now = self.database.clock.now()
        return DeliveryReport(
            operator_id=self.actor.operator_id,
            station_id=self.station.id,
            source=Source(device_id=1, incarnation="00", message_id=self.told),
            nozzle_number=nozzle.number if nozzle_number is None else nozzle_number,
            quantity_e4=quantity_e4,
            unit=nozzle.unit,
            started_at=started_at or now - timedelta(minutes=3),
            ended_at=now,
            device_unit_price_e4=price,
            device_amount_fen=amount_fen(quantity_e4, price)
            if device_amount_fen is None
            else device_amount_fen,
            preset=preset,
            totalizer_before_e4=before,
            totalizer_after_e4=before + quantity_e4,
            device_sequence=self.told,
            authorisation_id=authorisation_id,
            purpose=purpose,
        )

    async def deliver(self, *reports: DeliveryReport) -> list[Sale]:
        """Record deliveries and open their sales, as the worker does."""
        ids = await self.database.transact(deliveries.record_many, reports)
        opened = await self.database.transact(sales.open_many, self.actor, ids)
        async with self.database.read() as session:
            return [await sale_queries.get_sale(session, self.actor.scope, each) for each in opened]

    async def fill(self, product: str, quantity_e4: int, **more: object) -> Sale:
        (sale,) = await self.deliver(self.report(product, quantity_e4, **more))  # type: ignore[arg-type]
        return sale

    async def sale(self, sale_id: int) -> Sale:
        async with self.database.read() as session:
            return await sale_queries.get_sale(session, self.actor.scope, sale_id)

    async def sales(self) -> list[Sale]:
        async with self.database.read() as session:
            return await sale_queries.list_sales(session, self.actor.scope, SaleFilter())


async def build(database: Database, operator_id: OperatorId = OPERATOR) -> World:
    """An operator's station with one nozzle a product, priced since an hour ago."""
    actor = staff(operator_id)

    async def verb(session: WriteSession) -> World:
        station = await sites.create_station(session, actor, name="城东站", day_cut_min=480)
        products, nozzles = {}, {}
        for number, (code, (energy, unit)) in enumerate(KINDS.items(), 1):
            product = await sites.create_product(
                session, actor, code=code, name=code, energy=energy, unit=unit
            )
            nozzle = await sites.create_nozzle(
                session, actor, station_id=station.id, number=number, energy=energy, unit=unit
            )
            await sites.set_supply(session, actor, nozzle.id, product_id=product.id, tank_id=None)
            await pricing.set_price(
                session,
                actor,
                station_id=station.id,
                product_id=product.id,
                unit_price_e4=PRICES[code],
                valid_from=None,
            )
            products[code], nozzles[code] = product, nozzle
        return World(database, actor, station, products, nozzles)

    world = await database.transact(verb)
    database.clock.advance(3_600)  # type: ignore[attr-defined]
    return world
