"""Subscriptions (RFC 6665 §4; GB/T 28181-2022 §9.11): what the answers to SUBSCRIBE say."""

from __future__ import annotations

from typing import Final

from gb28181.errors import SubscriptionRefused
from gb28181.sip.message import Response

#: Longest life that is asked for or believed, seconds.
MAX_EXPIRES_S: Final = 30 * 86_400


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
    """Seconds that a 2xx grants: never more than asked for; those asked for where it says nothing usable (quirk W6)."""
    said = seconds(response.header("expires"))
    return min(said, asked_s) if said else asked_s


def seconds(text: str) -> int | None:
    """A number of seconds at the beginning of a header (`5 (overload);duration=60`), None where there is none."""
    digits = text.partition(";")[0].partition("(")[0].strip()
    return min(int(digits), MAX_EXPIRES_S) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
