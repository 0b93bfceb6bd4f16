"""Subscriptions of ours with devices (§9.11): what is wanted, what the device granted, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from gb28181.ids import DeviceId
from gb28181.session.model import Dialog


class Topic(StrEnum):
    """What a device is asked to tell by itself."""

    CATALOG = "catalog"
    ALARM = "alarm"
    MOBILE_POSITION = "mobile_position"
    PTZ_POSITION = "ptz_position"


#: `off`: not wanted. `waiting`: for the device, or for its turn. `active`: granted. `refused`: the device cannot or will not.
#: `failing`: no answer, or a passing refusal; it is tried again.
State = Literal["off", "waiting", "active", "refused", "failing"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator set for one subscription; None leaves it to the configuration.

    Args:
        expires_s: Asked for; the device may grant less.
        interval_s: Between two positions; mobile position only.
    """

    enabled: bool | None = None
    expires_s: int | None = None
    interval_s: int | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionKey:
    """Args:
    target: DeviceID of the query: a channel; "" for the device itself.
    """

    device_id: DeviceId
    topic: Topic
    target: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription, as stored.

    Args:
        event: Value of the Event header, with its id; a renewal repeats it (quirk Q77).
        dialog: None until one was granted, and when it is lost.
        expires_at: When the device drops it unless it is renewed.
        registration: Call-ID of the registration under which it was granted: another one may mean a reboot (quirk Q77).
        status, reason: SIP status of the last answer that was no success, 0 when there was no answer; and in words.
        failures: In a row.
    """

    key: SubscriptionKey
    wish: Wish = Wish()
    state: State = "waiting"
    event: str = ""
    dialog: Dialog | None = None
    expires_at: datetime | None = None
    registration: str = ""
    status: int = 0
    reason: str = ""
    failures: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription with what holds for it now.

    Args:
        enabled, expires_s, interval_s: The operator's wish or the configuration.
        next_at: When it is renewed or tried next, None when nothing is planned.
        notified: NOTIFYs in it since our start, and when the last came.
    """

    subscription: Subscription
    enabled: bool
    expires_s: int
    interval_s: int
    next_at: datetime | None
    notified: int
    notified_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    """A subscription was granted, refused, lost or switched."""

    device_id: DeviceId
    topic: str
    target: str
    state: str
    status: int
    reason: str
