"""Every message of the protocol, drawn from its own layout tables."""

from typing import Any

from hypothesis import strategies as st

from forecourt_protocols.lanfeng.commands import EndReason, Fault, GunState, PresetKind, Result
from forecourt_protocols.lanfeng.fields import Bcd, Field
from forecourt_protocols.lanfeng.messages import (
    ANSWERS,
    ORDERS,
    REQUESTS,
    SALES,
    Acknowledgement,
    Answer,
    Order,
    Request,
    StateAnswer,
    acknowledge,
)
from forecourt_protocols.lanfeng.session import Sale

GUNS = st.integers(1, 99)
_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "state": st.sampled_from(GunState),
    "faults": st.integers(0, 31).map(Fault),
    "end_reason": st.sampled_from(EndReason),
    "preset_kind": st.sampled_from(PresetKind),
    "page": st.integers(1, 6),
    "sale_waiting": st.booleans(),
    "controlled": st.booleans(),
}


def _value(field: Field) -> st.SearchStrategy[Any]:
    if isinstance(field, Bcd):
        return st.integers(0, 10 ** (2 * field.size) - 1)
    return _KINDS[field.name]


def _message(made: type[Any], fields: tuple[Field, ...]) -> st.SearchStrategy[Any]:
    return st.builds(made, **{each.name: _value(each) for each in fields})


REQUEST: st.SearchStrategy[Request] = st.one_of(
    st.sampled_from(sorted(ORDERS)).map(Order), *(_message(*layout) for layout in REQUESTS.values())
)
ACKNOWLEDGEMENT: st.SearchStrategy[Acknowledgement] = st.builds(
    acknowledge,
    REQUEST.filter(lambda request: not isinstance(request, Order) or request.command not in ANSWERS).filter(
        lambda request: type(request).__name__ != "QuerySale"
    ),
    st.sampled_from(Result),
)
STATE: st.SearchStrategy[StateAnswer] = _message(*ANSWERS[next(iter(ANSWERS))])
ANSWER: st.SearchStrategy[Answer] = st.one_of(
    ACKNOWLEDGEMENT,
    *(_message(*layout) for layout in ANSWERS.values()),
    *(_message(*layout) for layout in SALES.values()),
)
SALE: st.SearchStrategy[Sale] = st.builds(
    Sale,
    gun=GUNS,
    sequence=st.integers(1, 99_999_999),
    quantity_e2=st.integers(0, 999_999),
    amount_fen=st.integers(0, 999_999),
    unit_price_e2=st.integers(0, 9_999),
    totalizer_before_e2=st.integers(0, 10**10 - 1),
    totalizer_after_e2=st.integers(0, 10**10 - 1),
    preset_kind=st.sampled_from(PresetKind),
    preset_value=st.integers(0, 999_999),
    duration_s=st.integers(0, 999_999),
    end_reason=st.sampled_from(EndReason),
    pressure_start_mpa_e2=st.integers(0, 9_999),
    pressure_end_mpa_e2=st.integers(0, 9_999),
    temperature_k_e1=st.integers(0, 9_999),
)
