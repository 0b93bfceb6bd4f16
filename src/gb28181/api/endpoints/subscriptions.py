"""What a device is asked to tell by itself, and what became of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gb28181.api.fields import Said, Shown
from gb28181.api.routing import BadRequest, Call, Model, Route, route
from gb28181.subscription.model import SubscriptionView as Found
from gb28181.subscription.model import Topic, Wish
from gb28181.texts.text import say


class SubscriptionView(Model):
    """`state`: off, waiting (for the device or its turn), active, refused (`status` and `reason` say why) or failing.

    `own` says what an operator set for this device; null leaves it to the configuration. `channel_id` is empty for the
    device itself.
    """

    topic: str
    channel_id: str
    enabled: bool
    expires_s: int
    interval_s: int | None
    own: dict[str, Any]
    state: str
    status: int
    reason: Said
    expires_at: Shown | None
    next_at: Shown | None
    changed_at: Shown | None
    notified: int
    notified_at: Shown | None


class Subscriptions(Model):
    items: list[SubscriptionView]


class SubscriptionWish(Model):
    """Replaces what was set before; what is null or left out is left to the configuration."""

    enabled: bool | None = None
    expires_s: int | None = Field(None, ge=30, le=86_400, description="asked for; the device may grant less")
    interval_s: int | None = Field(None, ge=1, le=3600, description="between two positions; mobile_position only")
    channel_id: str = Field("", max_length=64, description="a channel; empty for the device itself")


@route("GET", "/devices/{device_id}/subscriptions", right="view", response=Subscriptions, errors=(404,))
async def list_subscriptions(call: Call[None, None]) -> Subscriptions:
    """Lists what is subscribed to with a device, and how it stands."""
    return Subscriptions(items=[_view(found) for found in call.services.subscriptions.subscriptions(call.device_id)])


@route(
    "PUT",
    "/devices/{device_id}/subscriptions/{topic}",
    right="administer",
    request=SubscriptionWish,
    response=SubscriptionView,
    errors=(404, 409),
)
async def change_subscription(call: Call[None, SubscriptionWish]) -> SubscriptionView:
    """Switches a subscription on or off, or sets its times; topics: catalog, alarm, mobile_position, ptz_position."""
    body, topic = call.body, _topic(call.path["topic"])
    if body.interval_s is not None and topic is not Topic.MOBILE_POSITION:
        raise BadRequest([{"location": "body.interval_s", "message": say("alarm.interval_only_position")}])
    wish = Wish(enabled=body.enabled, expires_s=body.expires_s, interval_s=body.interval_s)
    found = call.services.subscriptions.change(call.device_id, topic, wish, target=body.channel_id)
    await call.audit("device.subscription", call.device_id, topic=str(topic), **body.model_dump(exclude_none=True))
    return _view(found)


def _topic(text: str) -> Topic:
    try:
        return Topic(text)
    except ValueError:
        names = ", ".join(Topic)
        raise BadRequest([{"location": "path.topic", "message": say("http.one_of", names=names)}]) from None


def _view(found: Found) -> SubscriptionView:
    subscription, wish = found.subscription, found.subscription.wish
    topic = subscription.key.topic
    own = {"enabled": wish.enabled, "expires_s": wish.expires_s, "interval_s": wish.interval_s}
    return SubscriptionView(
        topic=topic,
        channel_id=subscription.key.target,
        enabled=found.enabled,
        expires_s=found.expires_s,
        interval_s=found.interval_s if topic is Topic.MOBILE_POSITION else None,
        own=own,
        state=subscription.state,
        status=subscription.status,
        reason=subscription.reason,
        expires_at=subscription.expires_at,
        next_at=found.next_at,
        changed_at=subscription.changed_at,
        notified=found.notified,
        notified_at=found.notified_at,
    )


ROUTES: tuple[Route, ...] = (list_subscriptions, change_subscription)
