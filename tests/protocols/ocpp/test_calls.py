"""One CALL at a time, in order; every ticket comes back exactly once."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from forecourt_protocols.ocpp.calls import CALLS_WAITING_MAX, Calls, TooManyCalls
from forecourt_protocols.ocpp.framing import Call, CallResult


class TestCalls:
    def test_the_second_waits_for_the_answer_to_the_first(self) -> None:
        calls: Calls[str] = Calls()
        calls.ask(Call("1", "Reset", b"{}"), "first")
        calls.ask(Call("2", "Reset", b"{}"), "second")
        first = calls.next(0.0)
        assert first is not None
        assert first.unique_id == "1"
        assert calls.next(0.0) is None
        assert calls.answered(CallResult("2", b"{}")) is None
        assert calls.answered(CallResult("1", b"{}")) == (first, "first")
        assert calls.answered(CallResult("1", b"{}")) is None
        second = calls.next(1.0)
        assert second is not None
        assert second.unique_id == "2"

    def test_an_answer_after_the_time_limit_is_nobodys(self) -> None:
        calls: Calls[str] = Calls(timeout_s=30.0)
        calls.ask(Call("1", "Reset", b"{}"), "ticket")
        assert calls.next(100.0) is not None
        assert calls.due_s() == 130.0
        assert calls.expired(129.9) is None
        gone = calls.expired(130.0)
        assert gone is not None
        assert gone[1] == "ticket"
        assert calls.due_s() is None
        assert calls.answered(CallResult("1", b"{}")) is None

    def test_the_queue_is_bounded(self) -> None:
        calls: Calls[int] = Calls()
        for number in range(CALLS_WAITING_MAX):
            calls.ask(Call(str(number), "Reset", b"{}"), number)
        with pytest.raises(TooManyCalls):
            calls.ask(Call("x", "Reset", b"{}"), -1)
        assert calls.forget() == list(range(CALLS_WAITING_MAX))


class EveryTicketOnce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls[int] = Calls(timeout_s=10.0)
        self.now_s = 0.0
        self.asked: list[int] = []
        self.back: list[int] = []

    @rule()
    def ask(self) -> None:
        number = len(self.asked)
        try:
            self.calls.ask(Call(str(number), "Heartbeat", b"{}"), number)
        except TooManyCalls:
            return
        self.asked.append(number)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        gone = self.calls.expired(self.now_s)
        if gone:
            self.back.append(gone[1])

    @rule()
    def send(self) -> None:
        self.calls.next(self.now_s)

    @rule(unique_id=st.integers(0, 50))
    def answer(self, unique_id: int) -> None:
        done = self.calls.answered(CallResult(str(unique_id), b"{}"))
        if done:
            self.back.append(done[1])

    @rule()
    def lose_the_connection(self) -> None:
        self.back += self.calls.forget()

    @invariant()
    def tickets_come_back_once_and_in_order(self) -> None:
        assert self.back == self.asked[: len(self.back)]


TestEveryTicketOnce = EveryTicketOnce.TestCase
