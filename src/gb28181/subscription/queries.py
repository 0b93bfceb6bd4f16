"""What is sent to subscribe: the Query in the body and the Event header (§9.11; A.2.4.3, A.2.4.6, A.2.4.9, A.2.4.13)."""

from __future__ import annotations

from typing import Any, Final

from gb28181.device.model import DeviceCharset, Edition
from gb28181.errors import NotInEdition
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build
from gb28181.manscdp.commands.alarm import AlarmQuery
from gb28181.manscdp.commands.catalog import CatalogQuery
from gb28181.manscdp.commands.position import MobilePositionQuery
from gb28181.manscdp.commands.ptz import PTZPositionQuery
from gb28181.subscription.model import SubscriptionKey, Topic
from gb28181.texts.text import say

_IDS: Final = 10_000
_EDITION: Final[dict[Topic, tuple[Edition, ...]]] = {
    Topic.MOBILE_POSITION: ("2016", "2022"),
    Topic.PTZ_POSITION: ("2022",),
}


def check_edition(topic: Topic, edition: Edition) -> None:
    """Raises:
    NotInEdition: The edition that the device speaks has no such subscription.
    """
    if edition not in _EDITION.get(topic, (edition,)):
        since = _EDITION[topic][0]
        raise NotInEdition(say("command.topic_edition", edition=edition, topic=topic, since=since))


def event_of(topic: Topic, chance: float) -> str:
    """Value of Event for a new dialog. The id tells subscriptions of one device apart where it has but one table of them.

    2016 prints `presence` for alarms (J.18) and `Catalog;id=…` for the catalogue; PTZ position follows the others.

    Args:
        chance: 0 to 1.
    """
    package = "Catalog" if topic is Topic.CATALOG else "presence"
    return f"{package};id={1 + int(chance * _IDS)}"


def other_event(topic: Topic, event: str) -> str:
    """The same Event in the package that the other half of devices goes by, for one that answered 489; "" for none.

    2016 prints `presence` too for the catalogue of a device (J.20); for positions neither edition prints any.
    """
    other = {Topic.CATALOG: "presence", Topic.MOBILE_POSITION: "MobilePosition"}.get(topic, "")
    return f"{other};{event.partition(';')[2]}" if other else ""


def body_of(key: SubscriptionKey, sn: int, charset: DeviceCharset, *, interval_s: int = 0) -> bytes:
    """The Query that says what is subscribed to; an end repeats it."""
    target = DeviceId(key.target) if key.target else key.device_id
    query: Any
    match key.topic:
        case Topic.CATALOG:
            query = CatalogQuery(sn=sn, device_id=target)
        case Topic.ALARM:
            # All priorities and methods, said: some firmware sends nothing where it is left open.
            query = AlarmQuery(sn=sn, device_id=target, start_alarm_priority="0", end_alarm_priority="0", alarm_method="0")
        case Topic.MOBILE_POSITION:
            query = MobilePositionQuery(sn=sn, device_id=target, interval=interval_s or None)
        case Topic.PTZ_POSITION:
            query = PTZPositionQuery(sn=sn, device_id=target)
    return build(query, charset=charset)
