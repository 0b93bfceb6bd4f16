"""One MESSAGE to an address, and what SIP says to it. Who waits for a Response to it asks by `exchange.Exchanges`."""

from __future__ import annotations

import dataclasses
from typing import Final

from gb28181.device.model import Route
from gb28181.errors import Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import Charset, build
from gb28181.manscdp.element import entry_of
from gb28181.ports import Signalling, SipResponse
from gb28181.texts.text import say

_MAX_SN: Final = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes, and in which character set."""

    device_id: DeviceId
    route: Route
    charset: Charset


class Sending:
    """Sends commands, and numbers those of all features.

    Args:
        timeout_s: For a MESSAGE.
        first_sn: Where serial numbers begin; a new process begins elsewhere, so that answers to an old one match nothing.
    """

    def __init__(self, signalling: Signalling, *, timeout_s: float, first_sn: int) -> None:
        self._signalling = signalling
        self._timeout_s = timeout_s
        self._sn = first_sn % _MAX_SN

    def next_sn(self) -> int:
        """A serial number that no outstanding query of ours has (A.2.2: 1 and more)."""
        self._sn = self._sn % _MAX_SN + 1
        return self._sn

    async def send(self, target: Target, command: object) -> None:
        """Returns when the SIP of the device has accepted the command.

        Raises:
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: No way to the device, or it refused the MESSAGE.
        """
        response = await self.reach(target, command)
        if not 200 <= response.status < 300:
            cmd_type = entry_of(type(command)).cmd_type
            refused = say(
                "device.refused_message",
                device_id=target.device_id,
                cmd_type=cmd_type,
                status=response.status,
                reason=response.reason or "—",
            )
            raise Unreachable(refused)

    async def reach(self, target: Target, command: object) -> SipResponse:
        """The SIP answer to the MESSAGE, a refusal too: somebody is there.

        Raises:
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: No way to the device.
        """
        body = build(command, charset=target.charset)
        return await self._signalling.message(target.route, to=target.device_id, body=body, timeout_s=self._timeout_s)
