"""What each camera was told, and may still be doing.

One command of ours is under way to a camera at a time, and the newest wins: what the older one still repeats over UDP is given
up first, because a late copy of a movement must not follow its stop. A camera that may move and shall not is told to stop until
it has answered (quirk Q170).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gb28181.background import Background
from gb28181.catalog.model import ChannelKey
from gb28181.errors import CommandFailed, Conflict, Gb28181Error, NotFound, Unavailable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import DeviceControl
from gb28181.manscdp.ptz_code import LENS_STOP, STOP, Lens, Move, PtzAction
from gb28181.ports import MovingNotes
from gb28181.ptz.model import Motion
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

#: How long a stop is repeated. A camera that is silent for longer has lost its power, or its way to us.
STOP_FOR_S: Final = 120.0
#: Refusals of a stop after which a camera is believed that it has none.
REFUSALS: Final = 5
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 8.0
#: How long the end of this process waits for stops to be answered.
FAREWELL_S: Final = 3.0

Step = PtzAction | DeviceControl
#: Sends one control that has no Response; returns when the device's SIP has accepted it.
Send = Callable[[ChannelKey, Step], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Line:
    """Args:
    turning, focusing: A movement was sent whose stop has not been answered.
    task: The command under way; its result is why it failed.
    stopping: That command is a stop that goes on by itself.
    number: Of the newest command.
    """

    turning: bool = False
    focusing: bool = False
    task: asyncio.Task[Gb28181Error | None] | None = None
    stopping: bool = False
    number: int = 0

    @property
    def is_moving(self) -> bool:
        return self.turning or self.focusing

    def stops(self) -> list[Step]:
        """What brings it to rest."""
        return [*([STOP] if self.turning else []), *([LENS_STOP] if self.focusing else [])]


class Lines:
    """All cameras that are told something, or may be moving. `async with` owns the commands; its end stops every camera.

    Args:
        dropped: Called with a camera whose movement ended otherwise than by a stop of its user.
        changed: Called with a camera that has begun or ended to move.
        notes: Remembers which cameras may be moving, so that a later process stops what we cannot stop any more.
        pause: Waits so many seconds between two tries of a stop.
    """

    def __init__(
        self,
        send: Send,
        *,
        monotonic: Callable[[], float],
        dropped: Callable[[ChannelKey], None],
        changed: Callable[[ChannelKey], None],
        notes: MovingNotes,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._send = send
        self._monotonic = monotonic
        self._dropped = dropped
        self._changed = changed
        self._notes = notes
        self._noted: frozenset[ChannelKey] = frozenset()
        self._pause = pause
        self._lines: dict[ChannelKey, _Line] = {}
        self._background = Background()
        self._closing = False
        self.counters: Counter[str] = Counter()

    @property
    def failures(self) -> int:
        """Commands that ended in a fault of ours."""
        return self._background.failures

    async def __aenter__(self) -> Lines:
        await self._background.__aenter__()
        for key in self._notes.load():  # a process before us was killed
            line = self._line(key)
            line.turning = line.focusing = True
            self.begin_stop(key, "restart")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closing = True
        for key in list(self._lines):
            self._dropped(key)
            self.begin_stop(key, "shutdown")
        running = {line.task for line in self._lines.values() if line.task is not None}
        if running:
            await asyncio.wait(running, timeout=FAREWELL_S)
        await self._background.__aexit__(*error)

    @property
    def moving(self) -> int:
        """Number of cameras that may be moving."""
        return sum(line.is_moving for line in self._lines.values())

    def is_moving(self, key: ChannelKey) -> bool:
        line = self._lines.get(key)
        return line is not None and line.is_moving

    # --- commands --------------------------------------------------------------------------------------------------

    async def steer(self, key: ChannelKey, motion: Motion) -> None:
        """Moves a camera; returns when it has answered. Axes that stood still and stay so are not mentioned.

        Raises:
            Conflict: The movement was ended before the camera answered.
            CommandFailed, NotFound, Unavailable: The camera did not take it; one that may have is stopped.
        """
        line = self._lines.get(key, _Line())
        steps: list[Step] = []
        if motion.turns or line.turning:
            steps.append(motion.move)
        if motion.focuses or line.focusing:
            steps.append(motion.lens)
        await self._run(key, steps)

    async def stop(self, key: ChannelKey) -> None:
        """Stops what moves, a cruise and a scan too, whoever began them; goes on by itself when this first try fails.

        Raises:
            Conflict, CommandFailed, NotFound, Unavailable: As for `steer`.
        """
        self._line(key).turning = True
        await self._run(key, self._line(key).stops())

    async def order(self, key: ChannelKey, step: Step) -> None:
        """Has a camera do something else; what moves is stopped first.

        Raises:
            Conflict, CommandFailed, NotFound, Unavailable: As for `steer`.
        """
        await self._run(key, [*self._line(key).stops(), step])

    def begin_stop(self, key: ChannelKey, cause: str) -> None:
        """Stops a camera that may be moving, until it has answered; nobody waits for it.

        Args:
            cause: For the log and the counters: `lease_ended`, `caller_gone` …
        """
        line = self._lines.get(key)
        if line is None or not line.is_moving or line.stopping:
            return
        logger.info("camera is stopped", extra={"device_id": key.device_id, "channel_id": key.channel_id, "cause": cause})
        self.counters[f"stopped_{cause}"] += 1
        self._replace(key, line, self._stopped(key, line), stopping=True)

    def device_back(self, device_id: DeviceId) -> None:
        """Says a stop that waits for its next try now: the device is there."""
        for key, line in list(self._lines.items()):
            if key.device_id == device_id and line.stopping:
                self._replace(key, line, self._stopped(key, line), stopping=True)

    # --- the command under way -------------------------------------------------------------------------------------

    async def _run(self, key: ChannelKey, steps: Sequence[Step]) -> None:
        if self._closing:
            raise Unavailable(say("ptz.stopping"))
        line = self._line(key)
        task = self._replace(key, line, self._sent(key, line, steps))
        number = line.number
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The caller has gone, and nobody else would say stop.
            task.cancel()
            self._abandon(key, line, number, "caller_gone")
            raise
        if task.cancelled():
            raise Conflict(say("ptz.overtaken", key=key))
        if (failure := task.result()) is not None:
            self._abandon(key, line, number, "failed")
            raise failure

    def _abandon(self, key: ChannelKey, line: _Line, number: int, cause: str) -> None:
        """The movement is not wanted any more, unless a newer command has taken its place."""
        if line.number == number:
            self._dropped(key)
            self.begin_stop(key, cause)

    def _replace(
        self, key: ChannelKey, line: _Line, work: Coroutine[Any, Any, Gb28181Error | None], *, stopping: bool = False
    ) -> asyncio.Task[Gb28181Error | None]:
        if line.task is not None:
            line.task.cancel()  # its transaction is given up: no copy of it follows
        fault = Unavailable(say("ptz.server_failed"))
        task = self._background.start(work, f"command to {key}", otherwise=fault)
        if task is None:
            raise Unavailable(say("ptz.not_started"))
        line.task, line.stopping = task, stopping
        line.number = number = line.number + 1
        task.add_done_callback(lambda _done: self._done(key, line, number))
        return task

    def _done(self, key: ChannelKey, line: _Line, number: int) -> None:
        if line.number != number:
            return  # a newer one has taken its place
        line.task, line.stopping = None, False
        if not line.is_moving and self._lines.get(key) is line:
            del self._lines[key]
        self._note()
        self._changed(key)

    async def _sent(self, key: ChannelKey, line: _Line, steps: Sequence[Step]) -> Gb28181Error | None:
        for step in steps:
            before = (line.turning, line.focusing)
            _may_do(line, step)
            self._note()
            try:
                await self._send(key, step)
            except Gb28181Error as failure:
                if _never_came(failure):
                    line.turning, line.focusing = before
                return failure
            _does(line, step)
        return None

    async def _stopped(self, key: ChannelKey, line: _Line) -> Gb28181Error | None:
        """Says stop until it is answered, then less and less often, and not for ever."""
        give_up_at, pause_s, refused = self._monotonic() + STOP_FOR_S, _FIRST_PAUSE_S, 0
        while (failure := await self._sent(key, line, line.stops())) is not None:
            self.counters["stop_unanswered"] += 1
            refused += isinstance(failure, CommandFailed) and failure.stage == "sip_status"
            if isinstance(failure, NotFound) or refused >= REFUSALS or self._monotonic() >= give_up_at:
                where = {"device_id": key.device_id, "channel_id": key.channel_id}
                logger.warning("camera may still be moving, its stop was never answered: %s", failure, extra=where)
                self.counters["stop_given_up"] += 1
                line.turning = line.focusing = False
                return failure
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return None

    def _note(self) -> None:
        moving = frozenset(key for key, line in self._lines.items() if line.is_moving)
        if moving != self._noted:
            self._noted = moving
            self._notes.save(sorted(moving, key=str))

    def _line(self, key: ChannelKey) -> _Line:
        return self._lines.setdefault(key, _Line())


def _may_do(line: _Line, step: Step) -> None:
    """From now on the camera may be moving."""
    if isinstance(step, Move):
        line.turning = line.turning or _moves(step)
    elif isinstance(step, Lens):
        line.focusing = line.focusing or _moves(step)


def _does(line: _Line, step: Step) -> None:
    """The camera has answered."""
    if isinstance(step, Move):
        line.turning = _moves(step)
    elif isinstance(step, Lens):
        line.focusing = _moves(step)


def _moves(step: Move | Lens) -> bool:
    return bool(step.pan or step.tilt or step.zoom) if isinstance(step, Move) else bool(step.focus or step.iris)


def _never_came(failure: Gb28181Error) -> bool:
    """Whether the camera certainly does not do what it was told."""
    if not isinstance(failure, CommandFailed):
        return True
    return failure.stage == "sip_status" or failure.detail.get("device") == "offline"
