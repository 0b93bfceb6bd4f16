"""When a subscription is renewed, and what an answer other than 200 means (RFC 6665 §4.1.2, spec of §9.11).

Every pause carries jitter: ten thousand devices that came back together must not renew together for ever.
"""

from __future__ import annotations

from typing import Final

#: Share of the granted time after which it is renewed: early enough for two further tries.
_EARLIEST: Final = 0.55
_LATEST: Final = 0.75
#: Shortest pause between two renewals, however little a device grants.
_SHORTEST_S: Final = 5.0
_FIRST_PAUSE_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 3600.0
#: A peer that asks for patience gets at most so much.
_LONGEST_WISH_S: Final = 86_400.0
#: Refusals that pass: busy, overloaded, interval too brief. A dialog outlives them (RFC 5057 §5.1).
_BUSY: Final = frozenset({423, 429, 480, 486, 491, 500, 502, 503, 504, 600})
#: Outside a dialog these pass too: no answer from below, and a device that is confused. All others mean that it cannot.
_PASSING: Final = _BUSY | {408, 481}


def renewal_after(granted_s: float, chance: float) -> float:
    """Seconds until the renewal of what was granted for so long.

    Args:
        chance: 0 to 1.
    """
    share = _EARLIEST + (_LATEST - _EARLIEST) * chance
    return max(min(_SHORTEST_S, granted_s), granted_s * share)


def is_passing(status: int) -> bool:
    """Whether this refusal may be another answer soon; any other one is remembered (§9.11: not supported)."""
    return status in _PASSING


def is_dialog_lost(status: int) -> bool:
    """Whether a renewal that was answered so found no subscription, or nobody who knows what a renewal is (quirk Q77)."""
    return status not in _BUSY


def pause_after(failures: int, chance: float, *, wished_s: float = 0.0) -> float:
    """Seconds until the next try after so many failures in a row: doubled each time, up to an hour.

    Args:
        chance: 0 to 1; the pause is a fifth longer or shorter.
        wished_s: Retry-After of the peer.
    """
    pause = min(_FIRST_PAUSE_S * 2.0 ** min(max(failures, 1) - 1, 20), _LONGEST_PAUSE_S)
    return max(pause * (0.8 + 0.4 * chance), min(wished_s, _LONGEST_WISH_S))
