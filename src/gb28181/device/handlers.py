"""What the device feature receives: REGISTER, keepalives, and who a device is and how it fares."""

from __future__ import annotations

from gb28181 import exchange
from gb28181.device.service import DeviceService
from gb28181.manscdp.commands.device import DeviceInfoResponse, DeviceStatusResponse
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.router import Routes


def routes(devices: DeviceService) -> Routes:
    return {
        "REGISTER": devices.register,
        Keepalive: devices.heard,
        **exchange.routes(devices.exchanges, DeviceInfoResponse, DeviceStatusResponse),
    }
