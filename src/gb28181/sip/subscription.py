"""Subscriptions in both roles (RFC 6665; GB/T 28181-2022 §9.11): when to ask, to refresh, to try again and to stop.

Sans-IO and without dialogs: who drives a machine holds the dialog, sends what the events ask for through `ports.Signalling`
and tells the machine how it ended. Invariant: a subscriber that was started and not stopped always has a deadline or a
request under way, so that no device is left without its subscription for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gb28181.errors import SubscriptionRefused
from gb28181.sip.message import Response

#: Longest life that is asked for or believed, seconds.
MAX_EXPIRES_S: Final = 30 * 86_400
#: For a subscriber that says no time (W6).
DEFAULT_EXPIRES_S: Final = 3600

#: Answers to a refresh that say: the dialog is gone (RFC 5057 §5.1).
GONE: Final = frozenset({404, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 502, 604})
#: Answers to a first SUBSCRIBE that trying again soon will not change.
HOPELESS: Final = frozenset({403, 404, 405, 415, 489, 501, 603, 604})

#: Why a notifier ended it (RFC 6665 §4.1.3), and what then: at once, after a pause, or hardly ever again. The RFC has a
#: subscriber stay away after the last three; a camera whose settings were put right comes back without an operator.
_AT_ONCE, _PAUSE, _SELDOM = "at once", "pause", "seldom"
ENDINGS: Final[Mapping[str, str]] = {
    "deactivated": _AT_ONCE,
    "timeout": _AT_ONCE,
    "probation": _PAUSE,
    "giveup": _PAUSE,
    "rejected": _SELDOM,
    "noresource": _SELDOM,
    "invariant": _SELDOM,
}


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """Value of Subscription-State.

    Args:
        expires_s: Seconds left, None where it says none.
        retry_after_s: Pause before the next SUBSCRIBE, 0 where it says none.
    """

    state: str
    expires_s: int | None = None
    reason: str = ""
    retry_after_s: int = 0

    @property
    def is_terminated(self) -> bool:
        return self.state == "terminated"

    def __str__(self) -> str:
        parts = [self.state]
        if self.reason:
            parts.append(f"reason={self.reason}")
        if self.expires_s is not None:
            parts.append(f"expires={self.expires_s}")
        if self.retry_after_s:
            parts.append(f"retry-after={self.retry_after_s}")
        return ";".join(parts)


def parse_state(text: str) -> SubscriptionState:
    """Reads the header of a NOTIFY; a missing or empty one means active, as firmware that leaves it out means it."""
    state, *rest = text.split(";")
    parameters = {name.strip().lower(): value.strip() for name, _, value in (part.partition("=") for part in rest[:20])}
    return SubscriptionState(
        state=state.strip().lower() or "active",
        expires_s=seconds(parameters.get("expires", "")),
        reason=parameters.get("reason", "").lower(),
        retry_after_s=seconds(parameters.get("retry-after", "")) or 0,
    )


def check_accepted(response: Response) -> None:
    """Raises: SubscriptionRefused: A final answer of 300 or more to SUBSCRIBE."""
    if response.status >= 300:
        raise SubscriptionRefused(
            f"SUBSCRIBE was answered {response.status} {response.reason}".rstrip(),
            status=response.status,
            retry_after_s=seconds(response.header("retry-after")) or 0,
            min_expires_s=seconds(response.header("min-expires")) or 0,
        )


def granted(response: Response, asked_s: int) -> int:
    """Seconds that a 2xx grants: never more than asked for; those asked for where it says nothing usable."""
    said = seconds(response.header("expires"))
    return min(said, asked_s) if said else asked_s


def seconds(text: str) -> int | None:
    """A number of seconds at the beginning of a header (`5 (overload);duration=60`), None where there is none."""
    digits = text.partition(";")[0].partition("(")[0].strip()
    return min(int(digits), MAX_EXPIRES_S) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None


# --- subscriber --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a SUBSCRIBE: in the dialog when `refresh`, else a new one. 0 seconds end the subscription."""

    expires_s: int
    refresh: bool


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The subscription ended other than by `stop`; its dialog is of no use any more. The machine tries again by itself."""

    reason: str


SubscriberEvent = Ask | Lapsed


class Subscriber:
    """Keeps one subscription with one peer alive.

    After each `Ask` exactly one of `accepted`, `refused` and `unanswered` is due.

    Args:
        expires_s: Life that is asked for; a 423 lifts it.
        margin_s: A refresh is sent so long before the end, but not in the first half of the life. Twice a transaction's
            time lets it fail once.
        retry_min_s, retry_max_s: Pause after a failure: doubled each time from one to the other.
    """

    def __init__(
        self, *, expires_s: int = 600, margin_s: float = 64.0, retry_min_s: float = 30.0, retry_max_s: float = 3600.0
    ) -> None:
        self._wanted_s = min(expires_s, MAX_EXPIRES_S)
        self._margin_s = margin_s
        self._retry_min_s = retry_min_s
        self._retry_max_s = retry_max_s
        self._failures = 0
        self._is_wanted = False
        self._is_asking = False
        self._ends_at: float | None = None  # of the subscription in force
        self._granted_at = 0.0
        self._ask_at: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether the peer has granted it and neither side has ended it."""
        return self._ends_at is not None

    @property
    def ends_at(self) -> float | None:
        return self._ends_at

    def start(self, now: float) -> list[SubscriberEvent]:
        """Asks anew: the first time, and when the peer has registered anew and may have forgotten."""
        self._is_wanted = True
        self._ends_at = None
        self._failures = 0
        return self._ask(now)

    def restore(self, now: float, left_s: float) -> None:
        """Goes on with a subscription of an earlier process that has so many seconds left."""
        self._is_wanted = True
        self._live_until(now, max(0.0, left_s))

    def pause(self) -> None:
        """The peer is away: nothing is sent until `start`."""
        self._is_wanted = self._is_asking = False
        self._ends_at = self._ask_at = None

    def stop(self, now: float) -> list[SubscriberEvent]:
        """Ends it; no answer is waited for."""
        was_active = self.is_active
        self.pause()
        return [Ask(0, refresh=True)] if was_active else []

    def accepted(self, now: float, granted_s: int) -> list[SubscriberEvent]:
        self._is_asking = False
        if self._is_wanted:
            self._failures = 0
            self._live_until(now, granted_s)
        return []

    def refused(self, now: float, refusal: SubscriptionRefused) -> list[SubscriberEvent]:
        self._is_asking = False
        if not self._is_wanted:
            return []
        if refusal.status == 423 and self._wanted_s < refusal.min_expires_s <= MAX_EXPIRES_S:
            self._wanted_s = refusal.min_expires_s
            return self._ask(now)
        if self.is_active and refusal.status in GONE:
            # The peer was restarted or has lost the dialog: a new one, once at once.
            self._ends_at = None
            return [Lapsed(str(refusal.status)), *self._ask(now)]
        self._failures += 1
        seldom = refusal.status in HOPELESS and not self.is_active
        self._ask_at = now + max(float(refusal.retry_after_s), self._retry_max_s if seldom else self._pause_s())
        return []

    def unanswered(self, now: float) -> list[SubscriberEvent]:
        """The transaction timed out, or there was no way to the peer."""
        self._is_asking = False
        if self._is_wanted:
            self._failures += 1
            self._ask_at = now + self._pause_s()
        return []

    def notified(self, now: float, state: SubscriptionState) -> list[SubscriberEvent]:
        """A NOTIFY came in its dialog; one before the answer to SUBSCRIBE too."""
        if not self._is_wanted:
            return []
        if not state.is_terminated:
            if self.is_active and state.expires_s:
                # The notifier may shorten its life (§4.1.2.2); what it says may be older than our refresh, never longer.
                self._live_until(now, min(state.expires_s, self._wanted_s))
            return []
        if not self.is_active and not self._is_asking:
            return []
        lived_s = now - self._granted_at if self.is_active else 0.0
        self._ends_at = None
        kind = ENDINGS.get(state.reason, _AT_ONCE)
        if kind == _SELDOM:
            pause_s = self._retry_max_s
        elif kind == _PAUSE or lived_s < self._retry_min_s:
            self._failures += 1  # one that ends as soon as it is made must not be asked for in a loop
            pause_s = self._pause_s()
        else:
            pause_s = 0.0
        self._ask_at = now + max(pause_s, float(state.retry_after_s))
        return [Lapsed(state.reason or "terminated")]

    def next_deadline(self) -> float | None:
        if self._is_asking:
            return None
        due = [at for at in (self._ask_at, self._ends_at) if at is not None]
        return min(due) if due else None

    def expire(self, now: float) -> list[SubscriberEvent]:
        if self._is_asking or not self._is_wanted:
            return []
        if self._ends_at is not None and now >= self._ends_at:
            self._ends_at = None
            if self._ask_at is None or self._ask_at <= now:
                return [Lapsed("timeout"), *self._ask(now)]
            return [Lapsed("timeout")]
        return self._ask(now) if self._ask_at is not None and now >= self._ask_at else []

    def _ask(self, now: float) -> list[SubscriberEvent]:
        self._is_asking = True
        self._ask_at = None
        return [Ask(self._wanted_s, refresh=self.is_active)]

    def _live_until(self, now: float, life_s: float) -> None:
        if self._ends_at is None:
            self._granted_at = now
        self._ends_at = now + life_s
        self._ask_at = now + max(life_s - self._margin_s, life_s / 2)

    def _pause_s(self) -> float:
        return min(self._retry_min_s * 2.0 ** min(self._failures - 1, 20), self._retry_max_s)


# --- notifier ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expired:
    """The subscriber did not refresh in time: send a last NOTIFY with this state and forget it."""

    state: SubscriptionState


class Notifier:
    """Life of one subscription that a peer has with us.

    Args:
        max_expires_s: Longest life that is granted; a longer wish is cut to it (RFC 6665 §4.2.1.1).
    """

    def __init__(self, *, max_expires_s: int = 86_400) -> None:
        self._max_expires_s = max_expires_s
        self._ends_at: float | None = None

    @property
    def is_active(self) -> bool:
        return self._ends_at is not None

    def subscribed(self, expires: str, now: float) -> int:
        """A SUBSCRIBE arrived, the first or a refresh; returns the seconds to grant, 0 where it ends the subscription.

        Args:
            expires: Its Expires header, "" where it has none.
        """
        asked = seconds(expires)
        life_s = min(DEFAULT_EXPIRES_S if asked is None else asked, self._max_expires_s)
        self._ends_at = now + life_s if life_s else None
        return life_s

    def restore(self, now: float, left_s: float) -> None:
        """Goes on with a subscription of an earlier process."""
        self._ends_at = now + max(0.0, left_s)

    def state(self, now: float) -> SubscriptionState:
        """What a NOTIFY sent now says."""
        if self._ends_at is None:
            return SubscriptionState("terminated", reason="timeout")
        return SubscriptionState("active", expires_s=max(0, int(self._ends_at - now)))

    def answered(self, status: int) -> bool:
        """How a NOTIFY was answered; False where the subscriber has gone and the subscription with it (§4.2.2).

        408 stands for silence. A refusal of one NOTIFY (400, 415, 500, 503) is no refusal of the subscription.
        """
        if status in GONE or status in (403, 405, 408, 603):
            self._ends_at = None
        return self.is_active

    def next_deadline(self) -> float | None:
        return self._ends_at

    def expire(self, now: float) -> list[Expired]:
        if self._ends_at is None or now < self._ends_at:
            return []
        self._ends_at = None
        return [Expired(SubscriptionState("terminated", reason="timeout"))]
