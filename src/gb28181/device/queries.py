"""Commands to devices, and who waits for which Response (§9.5, A.2.6).

An answer belongs to the query of the same (device, CmdType, SN); one whose SN nobody asked with belongs to the only query of
its device and CmdType, where there is only one (quirk Q52).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gb28181.device.model import Route
from gb28181.errors import Gb28181Error, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import Charset, build
from gb28181.manscdp.element import entry_of
from gb28181.ports import Signalling, SipResponse

_MAX_SN: Final = 2**31 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a command goes, and in which character set."""

    device_id: DeviceId
    route: Route
    charset: Charset


class Queries:
    """Sends commands and brings answers to those who asked.

    Args:
        timeout_s: For a MESSAGE, and for a whole query unless the caller says otherwise.
        first_sn: Where serial numbers begin; a new process begins elsewhere, so that answers to an old one match nothing.
    """

    def __init__(self, signalling: Signalling, *, timeout_s: float, first_sn: int) -> None:
        self._signalling = signalling
        self._timeout_s = timeout_s
        self._sn = first_sn % _MAX_SN
        self._waiting: dict[tuple[DeviceId, str], dict[int, asyncio.Future[Any]]] = {}

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
            refused = f"device {target.device_id} refused {cmd_type}: {response.status} {response.reason}"
            raise Unreachable(refused.rstrip())

    async def reach(self, target: Target, command: object) -> SipResponse:
        """The SIP answer to the MESSAGE, a refusal too: somebody is there.

        Raises:
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: No way to the device.
        """
        body = build(command, charset=target.charset)
        return await self._signalling.message(target.route, to=target.device_id, body=body, timeout_s=self._timeout_s)

    async def ask(self, target: Target, command: Any, *, timeout_s: float | None = None) -> Any:
        """The Response to a command, which gets a serial number of its own.

        Raises:
            PeerTimeout, Unreachable: As for `send`; or the Response did not come in time.
        """
        command = dataclasses.replace(command, sn=self.next_sn())
        cmd_type = entry_of(type(command)).cmd_type
        limit = timeout_s or self._timeout_s
        with self._expect(target.device_id, cmd_type, command.sn) as answer:
            # The Response may overtake the 200 to our MESSAGE, or that 200 may be lost: the Response alone counts.
            try:
                async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
                    sending = group.create_task(self._send_for(answer, target, command))
                    response = await answer
                    sending.cancel()
            except TimeoutError:
                raise PeerTimeout(f"device {target.device_id} did not answer {cmd_type} within {limit:g} s") from None
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None
        return response

    def answered(self, device_id: DeviceId, response: Any) -> bool:
        """Hands a Response over; False when nobody waits for it."""
        waiting = self._waiting.get((device_id, entry_of(type(response)).cmd_type), {})
        answer = waiting.get(response.sn)
        if answer is None and len(waiting) == 1:
            answer = next(iter(waiting.values()))
        if answer is None or answer.done():
            return False
        answer.set_result(response)
        return True

    @contextmanager
    def _expect(self, device_id: DeviceId, cmd_type: str, sn: int) -> Iterator[asyncio.Future[Any]]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((device_id, cmd_type), {})
        waiting[sn] = answer
        try:
            yield answer
        finally:
            del waiting[sn]
            if not waiting:
                del self._waiting[device_id, cmd_type]

    async def _send_for(self, answer: asyncio.Future[Any], target: Target, command: object) -> None:
        try:
            await self.send(target, command)
        except Gb28181Error as error:
            if not answer.done():
                answer.set_exception(error)
