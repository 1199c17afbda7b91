"""When the answer at the door is no."""

from http import HTTPStatus

from forecourt.core.errors import Forbidden, NotFound, Refusal, TooManyRequests


class LogInFailed(Refusal):
    """The login or the password is wrong."""

    status = HTTPStatus.UNAUTHORIZED
    code = "access.log_in_failed"


class TooManyLogIns(TooManyRequests):
    """Too many tries from here or for this account; wait before the next."""

    code = "access.too_many_tries"


class LoginTaken(Refusal):
    """Somebody else has this login."""

    code = "access.login_taken"


class PasswordTooWeak(Refusal):
    """Choose another password: at least 8 characters, not a common one, not your login."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "access.password_too_weak"


class StaffNotFound(NotFound):
    """There is no such person, or they are not yours to see."""

    code = "access.staff_not_found"


class SessionNotFound(NotFound):
    """You have no such session."""

    code = "access.session_not_found"


class RoleNotYours(Forbidden):
    """You cannot give this role."""

    code = "access.role_not_yours"


class NotYourself(Refusal):
    """Nobody changes their own role or disables themselves."""

    code = "access.not_yourself"


class CodeUnknown(Refusal):
    """This code is wrong, used or too old. Ask for a new one."""

    status = HTTPStatus.UNAUTHORIZED
    code = "access.code_unknown"


class AlreadySetUp(Refusal):
    """The platform has an administrator; log in, or ask them."""

    code = "access.already_set_up"
