"""How a NOTIFY is answered, and which subscription its content belongs to."""

from __future__ import annotations

from typing import Final

from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.manscdp.commands.catalog import CatalogNotify, CatalogResponse
from gb28181.manscdp.commands.position import MobilePosition
from gb28181.manscdp.commands.ptz import PTZPositionNotify, PTZPositionResponse
from gb28181.subscription.model import Topic

_TOPICS: Final[dict[type, Topic]] = {
    CatalogNotify: Topic.CATALOG,
    CatalogResponse: Topic.CATALOG,  # 2016 J.21: the root is Response
    AlarmNotify: Topic.ALARM,
    MobilePosition: Topic.MOBILE_POSITION,
    PTZPositionNotify: Topic.PTZ_POSITION,
    PTZPositionResponse: Topic.PTZ_POSITION,
}


def topic_of(command: object | None) -> Topic | None:
    """The topic of a body; None for a body of something else, and for none."""
    return _TOPICS.get(type(command))
