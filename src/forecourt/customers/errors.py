"""When the answer about members is no."""

from forecourt.core.errors import NotFound, Refusal


class MemberNotFound(NotFound):
    """There is no such member, or they are not yours to see."""

    code = "customers.member_not_found"


class PhoneTaken(Refusal):
    """A member with this telephone number exists."""

    code = "customers.phone_taken"
