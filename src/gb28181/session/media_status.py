"""MediaStatus: a device has sent all there is of a recording (§9.8, §9.9, A.2.5.4).

Whose stream it was is found by the Call-ID first and by the channel then: From and DeviceID name the device, the channel or
neither, and the message may come twice (quirks Q32, Q155; W36). One that concerns a live stream ends nothing (quirk Q156).
"""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import MediaStatus
from gb28181.ports import Channels
from gb28181.router import Inbound
from gb28181.session.model import MediaFinished

logger = logging.getLogger(__name__)

#: The one value of NotifyType that the standard defines.
_END: Final = "121"
#: A second copy within this time tells nothing new.
_COPY_S: Final = 10.0
_REMEMBERED: Final = 1000


class MediaStatuses:
    """Tells the end of what devices send.

    Args:
        owner_of_call: The channel of a running dialog.
    """

    def __init__(
        self,
        *,
        owner_of_call: Callable[[str], ChannelKey | None],
        channels: Channels,
        bus: Bus,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owner_of_call = owner_of_call
        self._channels = channels
        self._bus = bus
        self._monotonic = monotonic
        self._seen: OrderedDict[tuple[DeviceId, str, str], float] = OrderedDict()
        self._counters: Counter[str] = Counter()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return dict(self._counters)

    def arrived(self, inbound: Inbound[MediaStatus]) -> None:
        """A MediaStatus; its MESSAGE has been answered."""
        command, call_id = inbound.command, inbound.request.call_id
        if command.notify_type.strip() != _END:
            self._counters["unknown_type"] += 1
            return
        live = self._owner_of_call(call_id)
        channel_id = live.channel_id if live is not None else self._channel(inbound)
        if self._is_copy((inbound.device_id, channel_id, call_id)):
            self._counters["copies"] += 1
            return
        self._counters["ignored_live" if live is not None else "finished"] += 1
        logger.info("device has sent all media", extra={"device_id": inbound.device_id, "channel_id": channel_id})
        self._bus.publish(MediaFinished(inbound.device_id, channel_id, call_id, is_live=live is not None))

    def _channel(self, inbound: Inbound[MediaStatus]) -> str:
        """The channel that DeviceID or From names, "" where neither names one."""
        for told in (inbound.command.device_id, inbound.request.user):
            try:
                return self._channels.channel(ChannelKey(inbound.device_id, DeviceId(told))).key.channel_id
            except NotFound:
                continue
        return ""

    def _is_copy(self, key: tuple[DeviceId, str, str]) -> bool:
        now = self._monotonic()
        seen_at = self._seen.get(key)
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen_at is not None and now - seen_at < _COPY_S
