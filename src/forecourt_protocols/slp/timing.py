"""Round-trip estimate, probe time-out and token bucket: arithmetic on the time that is passed in."""

from forecourt_protocols.slp.limits import (
    PTO_BACKOFF,
    PTO_QUICK_TRIES,
    PTO_S_MAX,
    PTO_S_MIN,
    PTO_VARIANCE_S_MIN,
    RTT_FIRST_S,
    SLOW_RETRY_S,
)


class RoundTrip:
    """Smoothed round trip and its variation as in RFC 6298; one sample per acknowledged first sending."""

    __slots__ = ("_variation_s", "measured", "smoothed_s")

    def __init__(self) -> None:
        self.smoothed_s = RTT_FIRST_S
        self._variation_s = 0.0
        self.measured = False

    def sample(self, round_trip_s: float) -> None:
        sample_s = max(round_trip_s, 0.0)
        if not self.measured:
            self.measured = True
            self.smoothed_s = sample_s
            self._variation_s = sample_s / 2
            return
        self._variation_s += (abs(self.smoothed_s - sample_s) - self._variation_s) / 4
        self.smoothed_s += (sample_s - self.smoothed_s) / 8

    def probe_timeout_s(self, ack_delay_s: float, pto_s_max: float = PTO_S_MAX) -> float:
        if not self.measured:
            return RTT_FIRST_S
        timeout_s = self.smoothed_s + max(4 * self._variation_s, PTO_VARIANCE_S_MIN) + ack_delay_s
        return min(max(timeout_s, PTO_S_MIN), pto_s_max)


def backed_off_s(timeout_s: float, tries: int, chance: float, pto_s_max: float = PTO_S_MAX) -> float:
    """Wait before try number `tries` (0 = first): x1.5 up to the maximum, after eight 30 s +- 50 %.

    `chance` is uniform in [0, 1), so that a city's devices do not come back in step.
    """
    if tries < PTO_QUICK_TRIES:
        return float(min(timeout_s * PTO_BACKOFF**tries, pto_s_max))
    return SLOW_RETRY_S * (0.5 + chance)


class TokenBucket:
    """`rate_s` tokens a second, at most `burst` of them."""

    __slots__ = ("_at_s", "_tokens", "burst", "rate_s")

    def __init__(self, rate_s: float, burst: float) -> None:
        self.rate_s = rate_s
        self.burst = burst
        self._tokens = burst
        self._at_s = float("-inf")  # Full at first, whenever that is.

    def take(self, now_s: float) -> bool:
        """Use one token; False when there is none."""
        tokens = self._tokens
        if now_s > self._at_s:
            tokens = min(self.burst, tokens + (now_s - self._at_s) * self.rate_s)
            self._at_s = now_s
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True

    def ready_at_s(self, now_s: float) -> float:
        """When `take` will next say yes."""
        tokens = min(self.burst, self._tokens + max(now_s - self._at_s, 0.0) * self.rate_s)
        return now_s if tokens >= 1.0 else now_s + (1.0 - tokens) / self.rate_s + 1e-6
