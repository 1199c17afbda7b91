"""Vehicles that come to the nozzles of a station and to the connectors of its chargers."""

import asyncio
import logging
from typing import Any, Protocol

from forecourt_kit.random import Random, pick
from forecourt_simulators.station.station import Refused
from forecourt_simulators.traffic.wishes import ENERGY_WH, draw_wish

LOOK_EVERY_S = 1.0
MS_PER_MINUTE = 60_000

logger = logging.getLogger(__name__)


CARDS = 20  # Charging cards TAG0000 … that the vehicles carry; the platform knows them.


class Control(Protocol):
    """A simulator's control API."""

    async def act(self, do: str, **command: Any) -> dict[str, Any]:
        """Do a verb. Raises Refused, OSError."""
        ...


class Vehicles:
    """`per_minute_e2`: vehicles a minute at each nozzle or connector, in hundredths, while it is free."""

    def __init__(self, random: Random, per_minute_e2: int) -> None:
        self._random, self._per_minute_e2 = random, per_minute_e2
        self.arrived = 0

    async def come_to_station(self, station: Control) -> None:
        """For ever."""
        while True:
            await self._look(station, self.look_at_station)
            await asyncio.sleep(LOOK_EVERY_S)

    async def come_to_chargers(self, chargers: Control) -> None:
        """For ever."""
        while True:
            await self._look(chargers, self.look_at_chargers)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look_at_station(self, station: Control) -> None:
        """Each free nozzle may get a vehicle now."""
        for gun in (await station.act("guns"))["guns"]:
            if gun["busy"] or gun["state"] != "idle" or not self._comes():
                continue
            wish = draw_wish(self._random, gun["product"])
            facts: dict[str, Any] = {"gun": gun["gun"], "room_e4": wish.room_e4}
            if wish.amount_fen is not None:
                facts |= {"amount_fen": wish.amount_fen, "keypad": wish.keypad}
            await self._arrive(station, "fill", facts)

    async def look_at_chargers(self, chargers: Control) -> None:
        """Each free connector may get a car now; its driver shows a tag."""
        for point in (await chargers.act("charge_points"))["charge_points"]:
            for connector in point["connectors"]:
                if connector["busy"] or connector["status"] != "Available" or not self._comes():
                    continue
                facts = {
                    "charge_point": point["charge_point"],
                    "connector": connector["connector"],
                    "energy_wh": pick(self._random, ENERGY_WH),
                    "id_tag": f"TAG{self._random.below(CARDS):04d}",
                }
                await self._arrive(chargers, "charge", facts)

    async def _look(self, control: Control, look: Any) -> None:
        try:
            await look(control)
        except OSError as why:
            logger.warning("simulator away", extra={"why": str(why)})

    async def _arrive(self, control: Control, verb: str, facts: dict[str, Any]) -> None:
        try:
            await control.act(verb, **facts)
        except Refused as no:  # Somebody was quicker.
            logger.info("vehicle leaves", extra={"why": str(no)})
        else:
            self.arrived += 1

    def _comes(self) -> bool:
        return self._random.below(60 * 100) < self._per_minute_e2
