"""What the device feature receives: REGISTER, keepalives and the answers to its queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gb28181.device.service import DeviceService
from gb28181.manscdp.commands.device import DeviceInfoResponse, DeviceStatusResponse
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.router import Inbound, Routes


def routes(devices: DeviceService, *others: Callable[[Inbound[Any]], None]) -> Routes:
    """Args:
    others: Who else asks devices what they are and how they fare; each takes what answers its own question.
    """

    def answered(inbound: Inbound[Any]) -> None:
        for take in (devices.answered, *others):
            take(inbound)

    return {
        "REGISTER": devices.register,
        Keepalive: devices.heard,
        DeviceInfoResponse: answered,
        DeviceStatusResponse: answered,
    }
