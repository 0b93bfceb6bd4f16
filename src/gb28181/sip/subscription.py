"""What SUBSCRIBE and NOTIFY say of the life of a subscription, and what a peer grants (RFC 6665; GB/T 28181-2022 §9.11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gb28181.errors import SubscriptionRefused
from gb28181.sip.message import Response
from gb28181.texts.text import say

#: Longest life that is asked for or believed, seconds.
MAX_EXPIRES_S: Final = 30 * 86_400


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


def parse_state(text: str) -> SubscriptionState:
    """Reads the header of a NOTIFY; a missing or empty one means active, as firmware that leaves it out means it."""
    state, *rest = text.split(";")
    parameters = {name.strip().lower(): value.strip() for name, _, value in (part.partition("=") for part in rest[:20])}
    return SubscriptionState(
        state=state.strip().lower() or "active",
        expires_s=_seconds(parameters.get("expires", "")),
        reason=parameters.get("reason", "").lower(),
        retry_after_s=_seconds(parameters.get("retry-after", "")) or 0,
    )


def check_accepted(response: Response) -> None:
    """Raises: SubscriptionRefused: A final answer of 300 or more to SUBSCRIBE."""
    if response.status >= 300:
        sentence = "device.subscribe_answered" if response.reason else "device.subscribe_bare"
        raise SubscriptionRefused(
            say(sentence, status=response.status, reason=response.reason),
            status=response.status,
            retry_after_s=_seconds(response.header("retry-after")) or 0,
            min_expires_s=_seconds(response.header("min-expires")) or 0,
        )


def granted(response: Response, asked_s: int) -> int:
    """Seconds that a 2xx grants: never more than asked for; those asked for where it says nothing usable."""
    said = _seconds(response.header("expires"))
    return min(said, asked_s) if said else asked_s


def _seconds(text: str) -> int | None:
    """A number of seconds at the beginning of a header (`5 (overload);duration=60`), None where there is none."""
    digits = text.partition(";")[0].partition("(")[0].strip()
    return min(int(digits), MAX_EXPIRES_S) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
