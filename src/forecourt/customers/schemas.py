"""HTTP shapes of customers."""

from typing import Annotated

from pydantic import AfterValidator, Field

from forecourt.core.http import IdOut, In, InstantOut, Out
from forecourt.core.http.fields import Name
from forecourt.customers import rules


def _phone(value: str) -> str:
    if not rules.PHONE.fullmatch(value):
        raise ValueError("11 digits of a mobile number")
    return value


def _plate(value: str) -> str:
    plain = rules.plain_plate(value)
    if not rules.PLATE.fullmatch(plain):
        raise ValueError("a number plate such as 粤B12345")
    return plain


Phone = Annotated[str, Field(max_length=11, examples=["13812345678"]), AfterValidator(_phone)]
Plate = Annotated[str, Field(max_length=16, examples=["粤B12345"]), AfterValidator(_plate)]


class MemberIn(In):
    name: Name
    phone: Phone
    plate: Plate | None = None


class MemberOut(Out):
    """The telephone number is masked."""

    id: IdOut
    name: str
    phone_masked: str
    plate: str | None
    created_at: InstantOut


class MembersOut(Out):
    items: list[MemberOut]
    next_cursor: str | None
