"""One virtual charge point: people, time and the platform act on it. No socket and no clock of its own.

Whoever owns it lets time pass (`advance`), says when the link is up or down, takes what it wants to say
(`next_request`), brings the answers, and asks it what the platform asks.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from forecourt_kit.clock import Clock
from forecourt_kit.random import Random
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.types import (
    AuthorizationStatus,
    ChargePointErrorCode,
    Measurand,
    ReadingContext,
    Reason,
    RegistrationStatus,
    UnitOfMeasure,
)
from forecourt_protocols.ocpp.v16.types import ChargePointStatus as Status
from forecourt_simulators.evse.connector import Connector, Event, Session
from forecourt_simulators.evse.outbox import Outbox, Outgoing
from forecourt_simulators.evse.setup import ChargePointSetup, Faults

US_PER_S = 1_000_000
HEARTBEAT_S = 300  # Until the platform says otherwise.
BOOT_RETRY_S = 10
CONNECTION_TIMEOUT_S = 60
MADE_UP_ID = -1  # What a charge point says that forgot the platform's id.


class Refused(ValueError):
    """A person, or the control API, asks for what cannot be; the text says why."""


class ChargePoint:
    """`faults` may be changed while it runs."""

    def __init__(self, setup: ChargePointSetup, clock: Clock, random: Random) -> None:
        self.setup = setup
        self.faults: Faults = setup.faults
        self.clock = clock
        self.random = random
        self.connectors = {
            number: Connector.installed(number, each) for number, each in enumerate(setup.connectors, start=1)
        }
        self.outbox = Outbox()
        self.online = False
        self.accepted = False
        self.offline_for_us = 0  # The owner keeps the link down as long as this is above 0.
        self.reboot_wanted = False
        self.settings = {"HeartbeatInterval": HEARTBEAT_S, "MeterValueSampleInterval": setup.sample_s}
        self._boot_in_us = self._heartbeat_in_us = 0
        self._sample_in_us: dict[int, int] = {}
        self._waiting_tags: dict[int, tuple[str, int]] = {}  # By connector: the tag, and the time left.

    # People.

    def connector(self, number: int) -> Connector:
        if number not in self.connectors:
            raise Refused(f"{self.setup.code} has no connector {number}")
        return self.connectors[number]

    def plug_in(self, number: int, want_wh: int | None = None) -> None:
        """Put the cable into a car that takes so much. A tag that came before starts now."""
        connector = self.connector(number)
        if not connector.go(Event.PLUG):
            raise Refused(f"connector {number} is {connector.status}")
        connector.plugged, connector.want_wh = True, want_wh
        self._tell_status(connector)
        if (waiting := self._waiting_tags.pop(number, None)) is not None:
            self.show_tag(number, waiting[0])

    def show_tag(self, number: int, id_tag: str) -> None:
        """Hold a card to the reader: asks `Authorize` when there is a link, trusts it when there is none."""
        connector = self.connector(number)
        if connector.session is not None:
            if connector.session.id_tag != id_tag:
                raise Refused(f"connector {number} charges for another card")
            self.stop(number, Reason.LOCAL)
        elif not connector.plugged:
            self._waiting_tags[number] = (id_tag, CONNECTION_TIMEOUT_S * US_PER_S)
        elif not self.online:
            self.begin(number, id_tag)
        else:
            self._waiting_tags[number] = (id_tag, CONNECTION_TIMEOUT_S * US_PER_S)
            self.outbox.add(Outgoing(lambda: m.Authorize(id_tag=id_tag)))

    def unplug(self, number: int) -> None:
        """Pull the cable; a session that still runs ends by it."""
        connector = self.connector(number)
        if not connector.plugged:
            raise Refused(f"connector {number} has no car")
        if connector.session is not None:
            self.stop(number, Reason.EV_DISCONNECTED)
        connector.plugged, connector.want_wh = False, None
        self._waiting_tags.pop(number, None)
        connector.go(Event.UNPLUG)
        self._tell_status(connector)

    def fail(self, number: int, *, on: bool) -> None:
        """Break a connector, or repair it; a session that runs ends."""
        connector = self.connector(number)
        if on and connector.session is not None:
            self.stop(number, Reason.OTHER)
        if not connector.go(Event.FAIL if on else Event.REPAIR):
            raise Refused(f"connector {number} is {connector.status}")
        if connector.plugged:
            connector.go(Event.PLUG)
        self._tell_status(connector)

    # Sessions.

    def begin(self, number: int, id_tag: str) -> None:
        """Energy flows from here; StartTransaction is told, now or when there is a link again."""
        connector = self.connectors[number]
        if not connector.go(Event.START):
            return
        session = Session(number, id_tag, connector.register_wh, began_offline=not self.online)
        session.unknown_id = session.began_offline and self._chance(self.faults.unknown_ids_percent)
        connector.session = session
        at, meter_wh = self.now(), connector.register_wh
        self._say(
            lambda: m.StartTransaction(
                connector_id=number, id_tag=id_tag, meter_start=meter_wh, timestamp=at
            ),
            session,
        )
        self._tell_status(connector)
        self._sample_in_us[number] = self.settings["MeterValueSampleInterval"] * US_PER_S
        if self._chance(self.faults.offline_percent):
            self.offline_for_us = max(self.offline_for_us, self.faults.offline_s * US_PER_S)

    def stop(self, number: int, reason: Reason) -> None:
        """End the session; StopTransaction is told, now or when there is a link again."""
        connector = self.connectors[number]
        session, connector.session = connector.session, None
        if session is None:
            return
        connector.go(Event.STOP)
        at, meter_wh = self.now(), connector.register_wh
        if self._chance(self.faults.meter_backwards_percent):
            meter_wh = session.meter_start_wh - 1 - self.random.below(1_000)
        values = [_meter_value(at, meter_wh, ReadingContext.TRANSACTION_END)]

        def told() -> m.StopTransaction:
            known = session.transaction_id is not None and not session.unknown_id
            return m.StopTransaction(
                transaction_id=session.transaction_id if known and session.transaction_id else MADE_UP_ID,
                id_tag=session.id_tag,
                meter_stop=meter_wh,
                timestamp=at,
                reason=reason,
                transaction_data=values,
            )

        for _ in range(2 if self._chance(self.faults.duplicate_stop_percent) else 1):
            self._say(told, session)
        self._tell_status(connector)

    # Time.

    def now(self) -> datetime:
        """The charge point's own opinion of the time."""
        return self.clock.now() + timedelta(seconds=self.faults.clock_off_s)

    def advance(self, elapsed_us: int, speed: int = 1) -> None:
        """Let time pass; `speed` times as much energy flows, timers keep to the clock."""
        self.offline_for_us = max(0, self.offline_for_us - elapsed_us)
        for number, (tag, left_us) in list(self._waiting_tags.items()):
            if left_us <= elapsed_us:
                del self._waiting_tags[number]
            else:
                self._waiting_tags[number] = (tag, left_us - elapsed_us)
        for connector in self.connectors.values():
            status = connector.status
            connector.flow(elapsed_us * speed)
            if connector.session is not None:
                self._sample(connector, elapsed_us)
            if connector.status is not status:
                self._tell_status(connector)
            if connector.session is not None and connector.session.refused:
                self.stop(connector.number, Reason.DE_AUTHORIZED)
        if self.online:
            self._keep_in_touch(elapsed_us)

    def _sample(self, connector: Connector, elapsed_us: int) -> None:
        every_us = self.settings["MeterValueSampleInterval"] * US_PER_S
        self._sample_in_us[connector.number] -= elapsed_us
        if every_us and self._sample_in_us[connector.number] <= 0:
            self._sample_in_us[connector.number] = every_us
            self.tell_meter(connector.number, ReadingContext.SAMPLE_PERIODIC)

    def _keep_in_touch(self, elapsed_us: int) -> None:
        if not self.accepted:
            self._boot_in_us -= elapsed_us
            if self._boot_in_us <= 0:
                self._boot_in_us = BOOT_RETRY_S * US_PER_S
                self.outbox.add_first(Outgoing(self.boot, boot=True))
            return
        self._heartbeat_in_us -= elapsed_us
        if self._heartbeat_in_us <= 0:
            self._heartbeat_in_us = self.settings["HeartbeatInterval"] * US_PER_S
            self.outbox.add(Outgoing(m.Heartbeat))

    # The link.

    def link_up(self) -> None:
        """Connected: the first thing said is BootNotification."""
        self.online, self.accepted, self.reboot_wanted = True, False, False
        self._boot_in_us = 0
        self._keep_in_touch(0)

    def link_down(self) -> None:
        """Cards whose answer is lost with the link are trusted, as `show_tag` trusts them without one."""
        self.online = self.accepted = False
        self.outbox.link_lost()
        for number, (tag, _) in list(self._waiting_tags.items()):
            if self.connectors[number].plugged:
                del self._waiting_tags[number]
                self.begin(number, tag)

    def next_request(self) -> Outgoing | None:
        """What to send now; None while an answer is awaited, or when there is nothing to say."""
        return self.outbox.take(accepted=self.accepted)

    def answered(self, request: m.Message, outgoing: Outgoing, answer: m.Message) -> None:
        """The platform's answer to what `next_request` gave."""
        self.outbox.done()
        match request, answer:
            case m.BootNotification(), m.BootNotificationResponse():
                self._booted(answer)
            case m.Authorize(id_tag=id_tag), m.AuthorizeResponse(id_tag_info=info):
                self._authorised(id_tag, info.status)
            case m.StartTransaction(), m.StartTransactionResponse():
                assert outgoing.session is not None
                outgoing.session.transaction_id = answer.transaction_id
                outgoing.session.refused = answer.id_tag_info.status is not AuthorizationStatus.ACCEPTED
            case _:
                pass

    def unanswered(self) -> None:
        """An error came, or nothing in time."""
        self.outbox.failed()

    def boot(self) -> m.BootNotification:
        return m.BootNotification(
            charge_point_vendor=self.setup.vendor,
            charge_point_model=self.setup.model,
            charge_point_serial_number=self.setup.code[:25],
            firmware_version="1.0",
        )

    def tell_status(self, number: int) -> None:
        """Say how a connector is; 0 is the charge point itself."""
        if number:
            self._tell_status(self.connector(number))
        else:
            self.outbox.add(Outgoing(lambda: self._status(0, Status.AVAILABLE)))

    def tell_meter(self, number: int, context: ReadingContext) -> None:
        connector = self.connector(number)
        session, at, meter_wh = connector.session, self.now(), connector.register_wh
        value = _meter_value(at, meter_wh, context, connector.setup.power_w if session else 0)

        def told() -> m.MeterValues:
            if session is None or session.transaction_id is None:
                return m.MeterValues(connector_id=number, meter_value=[value])
            return m.MeterValues(
                connector_id=number, transaction_id=session.transaction_id, meter_value=[value]
            )

        self._say(told, session)

    def _booted(self, answer: m.BootNotificationResponse) -> None:
        self._boot_in_us = max(1, answer.interval) * US_PER_S
        if answer.status is not RegistrationStatus.ACCEPTED:
            return
        self.accepted = True
        self.settings["HeartbeatInterval"] = max(1, answer.interval)
        self._heartbeat_in_us = self.settings["HeartbeatInterval"] * US_PER_S
        for number in (0, *self.connectors):
            self.tell_status(number)

    def _authorised(self, id_tag: str, status: AuthorizationStatus) -> None:
        for number, (tag, _) in list(self._waiting_tags.items()):
            if tag != id_tag or not self.connectors[number].plugged:
                continue
            del self._waiting_tags[number]
            if status is AuthorizationStatus.ACCEPTED:
                self.begin(number, id_tag)

    def await_car(self, number: int, id_tag: str) -> None:
        """The platform allows this tag: it is asked again, and starts, as soon as a car is plugged in."""
        self._waiting_tags[number] = (id_tag, CONNECTION_TIMEOUT_S * US_PER_S)

    def _tell_status(self, connector: Connector) -> None:
        number, status, at = connector.number, connector.status, self.now()
        self.outbox.add(Outgoing(lambda: self._status(number, status, at)))

    def _status(self, number: int, status: Status, at: datetime | None = None) -> m.StatusNotification:
        failed = status is Status.FAULTED
        return m.StatusNotification(
            connector_id=number,
            error_code=ChargePointErrorCode.OTHER_ERROR if failed else ChargePointErrorCode.NO_ERROR,
            status=status,
            timestamp=at or self.now(),
        )

    def _say(self, write: Callable[[], m.Message], session: Session | None) -> None:
        if session is not None or self.online:
            self.outbox.add(Outgoing(write, session))

    def _chance(self, percent: int) -> bool:
        return percent > 0 and self.random.below(100) < percent


def _meter_value(at: datetime, wh: int, context: ReadingContext, power_w: int | None = None) -> m.MeterValue:
    values = [
        m.SampledValue(
            value=str(wh),
            context=context,
            measurand=Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
            unit=UnitOfMeasure.WH,
        )
    ]
    if power_w is not None:
        power = m.SampledValue(
            value=str(power_w),
            context=context,
            measurand=Measurand.POWER_ACTIVE_IMPORT,
            unit=UnitOfMeasure.W,
        )
        values.append(power)
    return m.MeterValue(timestamp=at, sampled_value=values)
