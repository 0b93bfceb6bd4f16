"""Commands to devices and who waits for which Response (§9.3, §9.5; A.2.3 to A.2.6).

Any feature sends by this: a query brings its Response or its Responses, a control says how far it came. A Response belongs to
what was asked with its SN; one whose SN nobody asked with belongs to what the device was asked alone (quirk Q52). Two equal
commands to one target wait for each other, so that "alone" holds. A query whose MESSAGE nobody answered over UDP is sent once
more under the same SN; a control never is: it may have been obeyed, and only its answer was lost.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from gb28181.device.model import Profile, Route
from gb28181.errors import CommandFailed, CommandStage, MisuseError, NotInEdition, PeerTimeout, Unavailable, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, entry_of, lacking, lookup
from gb28181.ports import Devices, Signalling
from gb28181.router import Inbound, Routes
from gb28181.texts.text import say

R = TypeVar("R")
K = TypeVar("K", bound=Hashable)

#: Answered commands under way to one device: small firmware has few buffers, an NVR is asked for many channels.
_AT_ONCE: Final = 8
#: Commands to one device that are under way or wait, of each sort; further ones are refused (503).
_MOST: Final = 64
#: Responses that one query may bring: 255 presets a message each, and some.
_MOST_PARTS: Final = 1000
#: Bytes of these together; what was read of them takes ten times as much.
_MOST_OCTETS: Final = 16 << 20
#: Serial numbers of ours that are remembered: a late answer to one of them is no answer to another command.
_REMEMBERED: Final = 10_000


@dataclass(slots=True, eq=False)
class _Pending:
    """A command that waits for Responses.

    Args:
        target: The XML DeviceID, a channel mostly.
        accepted: The MESSAGE was answered 2xx.
        octets: Length of the bodies that brought `parts`.
    """

    device_id: DeviceId
    cmd_type: str
    label: str
    target: str
    sn: int
    parts: list[Any] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: bool = False
    octets: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.parts) >= _MOST_PARTS or self.octets >= _MOST_OCTETS


class _Turns(Generic[K]):
    """Lets so many callers of a key in, in order.

    Args:
        at_once: Callers of one key that are in.
        most: Callers of one key that are in or wait.
    """

    def __init__(self, *, at_once: int, most: int) -> None:
        self._at_once = at_once
        self._most = most
        self._doors: dict[K, tuple[asyncio.Semaphore, list[int]]] = {}

    @asynccontextmanager
    async def take(self, key: K) -> AsyncIterator[None]:
        """Raises: Unavailable: Too many wait already."""
        door, count = self._doors.setdefault(key, (asyncio.Semaphore(self._at_once), [0]))
        if count[0] >= self._most:
            raise Unavailable(say("command.device_busy", most=self._most))
        count[0] += 1
        try:
            async with door:
                yield
        finally:
            count[0] -= 1
            if not count[0]:
                del self._doors[key]


class Exchanges:
    """Sends commands, and brings answers to those who asked.

    Args:
        timeout_s: For one exchange from its turn to its answer, unless the caller says otherwise.
    """

    def __init__(self, signalling: Signalling, devices: Devices, *, timeout_s: float) -> None:
        self._signalling = signalling
        self._devices = devices
        self._timeout_s = timeout_s
        self._pending: dict[tuple[DeviceId, str], dict[int, _Pending]] = {}
        self._issued: OrderedDict[int, None] = OrderedDict()
        self._places: _Turns[DeviceId] = _Turns(at_once=_AT_ONCE, most=_MOST)
        self._unanswered: _Turns[DeviceId] = _Turns(at_once=_MOST, most=_MOST)
        self._equals: _Turns[tuple[DeviceId, str, str]] = _Turns(at_once=1, most=_MOST)
        self._counters: Counter[str] = Counter()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return dict(self._counters)

    def gauges(self) -> dict[str, int]:
        """Commands that wait for a Response now."""
        return {"waiting": sum(len(waiting) for waiting in self._pending.values())}

    # --- asking ----------------------------------------------------------------------------------------------------

    async def query(
        self,
        device_id: DeviceId,
        command: Any,
        *,
        expects: type[R],
        timeout_s: float | None = None,
        complete: Callable[[Sequence[R]], bool] = lambda parts: True,
        quiet_s: float = 1.0,
        settle_s: float = 0.0,
        to: str = "",
    ) -> list[R]:
        """The Responses to a query, in the order in which they came; at least one.

        Args:
            command: Gets a serial number of its own; its `device_id` is the XML DeviceID, a channel or the device.
            expects: What answers it.
            timeout_s: Until the first Response, and for all of them.
            complete: Whether these are all. Without its consent the answer ends after `quiet_s` of silence.
            settle_s: Silence that must follow its consent too, for peers whose numbers cannot be trusted (quirk Q60).
            to: User of the To header; the device by default.

        Raises:
            NotFound: No such device.
            NotInEdition: The device speaks an edition that has no such command.
            CommandFailed: It was not sent, not answered, refused, or answered ERROR; says which.
            Unavailable: Too many commands to this device wait.
        """
        if entry_of(expects).category is not Category.RESPONSE:
            raise MisuseError(f"{expects.__name__} answers nothing")
        return await self._exchange(
            device_id,
            command,
            entry_of(expects).cmd_type,
            timeout_s=timeout_s or self._timeout_s,
            complete=complete,
            quiet_s=quiet_s,
            settle_s=settle_s,
            to=to or device_id,
            attempts=2,
        )

    async def control(
        self, device_id: DeviceId, command: Any, *, answered: bool, timeout_s: float | None = None, to: str = ""
    ) -> Any:
        """Has a device do something, once; never sent twice, whatever is lost.

        Args:
            answered: Whether the standard has a Response for it (§9.3); then it is waited for. A command without one waits for
                no other command, and a cancelled call sends no further copy of it.

        Returns:
            The Response; None without one.

        Raises:
            NotFound, NotInEdition, CommandFailed, Unavailable: As for `query`.
        """
        limit_s = timeout_s or self._timeout_s
        cmd_type = entry_of(type(command)).cmd_type
        if not answered:
            self.check_edition(device_id, command)
            command = dataclasses.replace(command, sn=self._next_sn())
            async with self._unanswered.take(device_id):
                await self._send(device_id, command, to=to or device_id, timeout_s=limit_s)
            return None
        if lookup(Category.RESPONSE, cmd_type) is None:
            raise MisuseError(f"nothing answers {cmd_type}")
        parts = await self._exchange(
            device_id,
            command,
            cmd_type,
            timeout_s=limit_s,
            complete=lambda parts: True,
            quiet_s=limit_s,
            to=to or device_id,
            attempts=1,
        )
        return parts[0]

    # --- what arrives ----------------------------------------------------------------------------------------------

    def answered(self, inbound: Inbound[Any]) -> None:
        """A Response; one that nobody waits for is counted."""
        response = inbound.command
        pending = self._match(inbound.device_id, entry_of(type(response)).cmd_type, response)
        if pending is None or pending.is_full:
            self._counters["unsolicited"] += 1
            return
        pending.parts.append(response)
        pending.octets += len(inbound.request.body)
        pending.changed.set()

    def _match(self, device_id: DeviceId, cmd_type: str, response: Any) -> _Pending | None:
        waiting = self._pending.get((device_id, cmd_type), {})
        if (exact := waiting.get(response.sn)) is not None:
            return exact
        if response.sn in self._issued:
            return None  # late, or to a control that waits for nothing
        candidates = list(waiting.values())
        if len(candidates) > 1:
            candidates = [pending for pending in candidates if pending.target == response.device_id]
        if len(candidates) != 1:
            return None
        self._counters["foreign_sn"] += 1
        return candidates[0]

    # --- one exchange ----------------------------------------------------------------------------------------------

    async def _exchange(
        self,
        device_id: DeviceId,
        command: Any,
        cmd_type: str,
        *,
        timeout_s: float,
        complete: Callable[[Sequence[Any]], bool],
        quiet_s: float,
        to: str,
        attempts: int,
        settle_s: float = 0.0,
    ) -> list[Any]:
        self.check_edition(device_id, command)
        target, label = str(command.device_id), _label(command)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                async with self._equals.take((device_id, cmd_type, target)), self._places.take(device_id):
                    limit.reschedule(None)
                    sn = self._next_sn()
                    pending = _Pending(device_id, cmd_type, label, target, sn)
                    waiting = self._pending.setdefault((device_id, cmd_type), {})
                    waiting[sn] = pending
                    try:
                        sent = self._deliver(pending, dataclasses.replace(command, sn=sn), to, timeout_s, attempts)
                        await self._await(pending, sent, timeout_s, complete, quiet_s, settle_s)
                    finally:
                        del waiting[sn]
                        if not waiting:
                            self._pending.pop((device_id, cmd_type), None)
        except TimeoutError:
            raise self._failed(
                device_id, label, "not_sent", say("command.others_under_way", timeout_s=timeout_s), waited_s=timeout_s
            ) from None
        if any(getattr(part, "result", Result.OK) == Result.ERROR for part in pending.parts):
            raise self._failed(device_id, label, "result_error", say("command.result_error", target=target))
        return pending.parts

    async def _await(
        self,
        pending: _Pending,
        sent: Any,
        timeout_s: float,
        complete: Callable[[Sequence[Any]], bool],
        quiet_s: float,
        settle_s: float,
    ) -> None:
        # The Response may overtake the 200 to our MESSAGE, or that 200 may be lost: the Response alone counts.
        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                sending = group.create_task(sent)
                await _collect(pending, complete, quiet_s, settle_s)
                sending.cancel()
        except TimeoutError:
            if pending.parts:
                return
            stage: CommandStage = "no_response" if pending.accepted else "no_sip_answer"
            seen = "command.no_response" if pending.accepted else "command.no_answer"
            text = say(seen, timeout_s=timeout_s)
            raise self._failed(pending.device_id, pending.label, stage, text, waited_s=timeout_s) from None
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _deliver(self, pending: _Pending, command: Any, to: str, timeout_s: float, attempts: int) -> None:
        """Sends until the MESSAGE is answered, as often as it may be; quiet once a Response has come."""
        for attempt in range(attempts, 0, -1):
            is_udp = self._route(pending.device_id, pending.label).transport == "udp"
            share_s = timeout_s / attempts if is_udp else timeout_s
            try:
                await self._send(pending.device_id, command, to=to, timeout_s=share_s)
            except CommandFailed as failure:
                if pending.parts:
                    return
                if failure.stage != "no_sip_answer" or attempt == 1 or not is_udp:
                    raise
                self._counters["repeated"] += 1
            else:
                pending.accepted = True
                return

    async def _send(self, device_id: DeviceId, command: Any, *, to: str, timeout_s: float) -> None:
        """One MESSAGE.

        Raises:
            NotFound, CommandFailed.
        """
        label, profile = _label(command), self._devices.profile(device_id)
        route = self._route(device_id, label)
        body = build(command, charset=profile.charset, edition=edition_of(profile))
        self._counters["sent"] += 1
        try:
            response = await self._signalling.message(route, to=to, body=body, timeout_s=timeout_s)
        except PeerTimeout:
            text = say("command.message_unanswered", remote=route.remote, timeout_s=timeout_s)
            raise self._failed(device_id, label, "no_sip_answer", text, waited_s=timeout_s) from None
        except Unreachable as error:
            raise self._failed(device_id, label, "not_sent", str(error)) from None
        if not 200 <= response.status < 300:
            refused = say("command.message_refused", status=response.status, reason=response.reason or "—")
            raise self._failed(device_id, label, "sip_status", refused, sip_status=response.status)

    def _route(self, device_id: DeviceId, label: str) -> Route:
        try:
            return self._devices.route(device_id)
        except Unreachable as error:
            raise self._failed(device_id, label, "not_sent", str(error), device="offline") from None

    def check_edition(self, device_id: DeviceId, command: Any) -> None:
        """Returns when the edition of the device has this command.

        Raises:
            NotFound: No such device.
            NotInEdition: It has not.
        """
        self._devices.get(device_id)
        profile = self._devices.profile(device_id)
        if missing := lacking(command, edition_of(profile)):
            raise NotInEdition(
                say("command.edition_missing", device_id=device_id, edition=profile.edition, missing=", ".join(missing))
            )

    def _next_sn(self) -> int:
        sn = self._devices.next_sn()
        self._issued[sn] = None
        if len(self._issued) > _REMEMBERED:
            self._issued.popitem(last=False)
        return sn

    def _failed(
        self, device_id: DeviceId, label: str, stage: CommandStage, text: str, **detail: str | int | float
    ) -> CommandFailed:
        self._counters[f"failed_{stage}"] += 1
        return CommandFailed(text, device_id=device_id, command=label, stage=stage, detail=detail)


async def _collect(pending: _Pending, complete: Callable[[Sequence[Any]], bool], quiet_s: float, settle_s: float) -> None:
    """Returns when the Responses are all, or no further one has come for `quiet_s`."""
    while True:
        patience: float | None = None
        if pending.parts:
            if pending.is_full:
                return
            patience = settle_s if complete(pending.parts) else quiet_s
            if not patience:
                return
        pending.changed.clear()
        try:
            async with asyncio.timeout(patience):
                await pending.changed.wait()
        except TimeoutError:
            return


def edition_of(profile: Profile) -> Edition:
    """What the device speaks; of a device of 2011 the amendment is expected, because a profile does not tell them apart."""
    return {"2011": Edition.E2014, "2016": Edition.E2016, "2022": Edition.E2022}[profile.edition]


def _label(command: Any) -> str:
    """CmdType, and of a control its sub-command too: `DeviceControl PTZCmd`."""
    entry = entry_of(type(command))
    if entry.category is Category.CONTROL:
        for slot in entry.spec.fields:
            if slot.attr not in ("sn", "device_id") and getattr(command, slot.attr) not in (None, (), ""):
                return f"{entry.cmd_type} {slot.name}"
    return entry.cmd_type


def routes(exchanges: Exchanges, *kinds: type) -> Routes:
    """Hands Responses of these kinds to whoever asked."""
    return dict.fromkeys(kinds, exchanges.answered)
