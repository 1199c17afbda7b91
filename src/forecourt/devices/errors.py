"""When the answer about devices is no."""

from http import HTTPStatus

from forecourt.core.errors import NotFound, Refusal, TooManyRequests


class DeviceNotFound(NotFound):
    """There is no such device, or it is not yours to see."""

    code = "devices.not_found"


class DeviceCodeTaken(Refusal):
    """Another charge point connects under this code."""

    code = "devices.code_taken"


class DeviceRevoked(Refusal):
    """The device was revoked, for good. Register a new one."""

    code = "devices.revoked"


class NotATerminal(Refusal):
    """Only a terminal is enrolled by code and shows nozzles."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "devices.not_a_terminal"


class HasNoKey(Refusal):
    """This kind of device has no key to change."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "devices.has_no_key"


class EnrolmentRefused(Refusal):
    """The code is wrong, used, or older than ten minutes. Ask for a new one."""

    status = HTTPStatus.UNAUTHORIZED
    code = "devices.enrolment_refused"


class TooManyEnrolments(TooManyRequests):
    """Too many codes were tried from here; wait before the next."""

    code = "devices.too_many_enrolments"


class NozzleElsewhere(Refusal):
    """A terminal shows nozzles of its own station."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "devices.nozzle_elsewhere"
