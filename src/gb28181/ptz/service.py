"""Steers cameras (§9.3; A.2.3.1, A.3): who may, for how long, and what they are told.

A camera moves until it is told to stop (A.3.2), so whoever moves one holds a lease and renews it. When nobody does, when the
caller's request is cut off, when its login is gone or when we end, the stop is ours to send.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Literal

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.config import PtzSettings
from gb28181.device.model import DeviceOnline
from gb28181.errors import Invalid
from gb28181.exchange import Exchanges
from gb28181.manscdp.commands.control import DeviceControl, DragZoom
from gb28181.manscdp.commands.ptz import HomePosition, PTZCmdParams, PTZPreciseCtrl
from gb28181.manscdp.ptz_code import Auxiliary, Cruise, Preset, PtzAction, Scan, build
from gb28181.ports import Channels, Devices, MovingNotes
from gb28181.ptz.helm import Change, Helm, Taken
from gb28181.ptz.lines import Lines, Step
from gb28181.ptz.memory import addressee
from gb28181.ptz.model import STILL, Box, Held, Holder, Home, Motion, PtzChanged, PtzState
from gb28181.texts.text import say

#: One try of a command. Over UDP that is four datagrams: at 0, 0.5, 1.5 and 3.5 s.
TRY_S: Final = 4.0
#: Longest name of a preset or cruise track, in bytes of GB 18030 (A.2.3.1.2).
MOST_NAME: Final = 32


class PtzService:
    """Moves cameras and stops them. `async with` runs its timer, and stops everything at the end.

    Every call raises `NotFound` for a channel that there is not, `Held` when somebody else steers it, and `CommandFailed`,
    which says how far the command came.

    Args:
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        settings: PtzSettings,
        *,
        exchanges: Exchanges,
        devices: Devices,
        channels: Channels,
        bus: Bus,
        clock: Clock,
        notes: MovingNotes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._exchanges = exchanges
        self._devices = devices
        self._channels = channels
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._helm = Helm(hold_s=settings.hold_s)
        self._lines = Lines(self._send, monotonic=monotonic, dropped=self._dropped, changed=self._tell, notes=notes)
        self._told: dict[ChannelKey, PtzState] = {}
        self._wake = asyncio.Event()
        self._background = Background()
        bus.subscribe(DeviceOnline, lambda event: self._lines.device_back(event.device_id))

    # --- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> PtzService:
        await self._lines.__aenter__()
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "camera timer", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)
        await self._lines.__aexit__(*error)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._lines.counters, "background_failures": self._lines.failures + self._background.failures}

    def gauges(self) -> dict[str, int]:
        """Cameras that move, and that are held, now."""
        return {"moving": self._lines.moving, "held": len(self._helm)}

    # --- moving ----------------------------------------------------------------------------------------------------

    def lease_of(self, wanted_s: float | None) -> float:
        """How long a movement lasts whose caller names so many seconds, or none."""
        return min(wanted_s or self._settings.lease_s, self._settings.max_lease_s)

    async def move(self, key: ChannelKey, motion: Motion, holder: Holder, *, lease_s: float | None = None) -> Change:
        """Moves a camera until its lease ends; the same motion again renews the lease and sends nothing.

        Returns when the device has answered. A caller that is cancelled before has its camera stopped.

        Args:
            lease_s: How long it moves unless it is told again; cut to `ptz.max_lease_s`.

        Raises:
            Conflict: A newer command, or the end of the lease, came before the device answered.
        """
        if motion == STILL:
            await self.stop(key, holder)
            return "changed"
        with self._deciding(key):
            change = self._helm.move(key, holder, motion, self._monotonic(), lease_s=self.lease_of(lease_s))
        if change != "renewed":
            self._lines.counters[f"movements_{change}"] += 1
            await self._lines.steer(key, motion)
        return change

    async def stop(self, key: ChannelKey, holder: Holder) -> None:
        """Stops every movement of a camera, its cruise and its scan; goes on by itself when the first try fails."""
        self._take(key, holder)
        self._lines.counters["stops"] += 1
        await self._lines.stop(key)

    def caller_gone(self, session: str) -> None:
        """Stops what moves because of a login that is no more."""
        for key in self._helm.gone(session):
            self._helm.end(key, self._monotonic())
            self._lines.begin_stop(key, "caller_gone")
            self._tell(key)

    def expire(self) -> None:
        """Stops what nobody wants to move any more, and says which cameras are free again."""
        for key in self._helm.expire(self._monotonic()):
            self._lines.begin_stop(key, "lease_ended")
        for key in list(self._told):
            self._tell(key)

    # --- orders ----------------------------------------------------------------------------------------------------

    async def preset(
        self, key: ChannelKey, verb: Literal["set", "call", "delete"], number: int, holder: Holder, *, name: str = ""
    ) -> bool:
        """Sets, calls or deletes a preset.

        Returns:
            Whether the device was told the name; only 2022 has a place for it.

        Raises:
            Invalid: The name is too long.
        """
        params = PTZCmdParams(preset_name=checked_name(name)) if name else None
        return await self._coded(key, Preset(verb, number), holder, params)

    async def cruise(self, key: ChannelKey, order: Cruise, holder: Holder, *, name: str = "") -> bool:
        """Edits or starts a cruise, named as a preset is; `stop` stops it."""
        params = PTZCmdParams(cruise_track_name=checked_name(name)) if name else None
        return await self._coded(key, order, holder, params)

    async def scan(self, key: ChannelKey, order: Scan, holder: Holder) -> None:
        """Edits or starts a scan; `stop` stops it."""
        await self._coded(key, order, holder)

    async def auxiliary(self, key: ChannelKey, order: Auxiliary, holder: Holder) -> None:
        await self._coded(key, order, holder)

    async def turn_to(
        self, key: ChannelKey, holder: Holder, *, pan: float | None, tilt: float | None, zoom: float | None
    ) -> None:
        """Turns to a place in degrees, which not every device can (2022).

        Raises:
            NotInEdition: The device speaks an older edition.
        """
        await self._order(key, holder, DeviceControl(
            device_id=key.channel_id, ptz_precise_ctrl=PTZPreciseCtrl(pan=pan, tilt=tilt, zoom=zoom)
        ))  # fmt: skip

    async def drag_zoom(self, key: ChannelKey, box: Box, holder: Holder, *, inward: bool) -> None:
        """Makes a box the whole picture, or the whole picture as small as the box."""
        block = DragZoom(
            length=box.window_width,
            width=box.window_height,
            mid_point_x=box.center_x,
            mid_point_y=box.center_y,
            length_x=box.width,
            length_y=box.height,
        )
        here = key.channel_id
        command = (
            DeviceControl(device_id=here, drag_zoom_in=block) if inward else DeviceControl(device_id=here, drag_zoom_out=block)
        )
        await self._order(key, holder, command)

    async def set_home(self, key: ChannelKey, home: Home, holder: Holder) -> None:
        """Sets where a camera returns to by itself; the device says whether it did."""
        with self._deciding(key):
            self._helm.take(key, holder, self._monotonic())
        block = HomePosition(enabled=int(home.enabled), reset_time=home.after_s, preset_index=home.preset)
        command = DeviceControl(device_id=key.channel_id, home_position=block)
        await self._exchanges.control(key.device_id, command, answered=True, to=self._to(key))

    async def _coded(self, key: ChannelKey, action: PtzAction, holder: Holder, params: PTZCmdParams | None = None) -> bool:
        is_named = params is not None and self._devices.profile(key.device_id).edition == "2022"
        named = params if is_named else None
        await self._order(key, holder, self._code(key, action, named))
        return is_named

    async def _order(self, key: ChannelKey, holder: Holder, command: DeviceControl) -> None:
        self._exchanges.check_edition(key.device_id, command)
        self._take(key, holder)
        await self._lines.order(key, command)

    # --- holding ---------------------------------------------------------------------------------------------------

    def state(self, key: ChannelKey) -> PtzState:
        """Who steers a camera."""
        self._channels.channel(key)
        return self._state(key)

    def lock(self, key: ChannelKey, holder: Holder, *, lock_s: float) -> PtzState:
        """Keeps a camera for one user; what somebody of lower priority moves is stopped.

        Args:
            lock_s: Cut to `ptz.max_lock_s`.
        """
        now = self._monotonic()
        with self._deciding(key):
            self._helm.lock(key, holder, now, lock_s=min(lock_s, self._settings.max_lock_s))
        movement = self._helm.movement(key)
        if movement is not None and movement.holder.user != holder.user:
            self._helm.end(key, now)
            self._lines.begin_stop(key, "taken")
        return self._state(key)

    def unlock(self, key: ChannelKey, holder: Holder) -> PtzState:
        """Frees a camera, of somebody with a lower priority too."""
        with self._deciding(key):
            self._helm.unlock(key, holder, self._monotonic())
        return self._state(key)

    def _take(self, key: ChannelKey, holder: Holder) -> None:
        """Holds a camera for what is not a movement; a movement is no longer wanted."""
        now = self._monotonic()
        with self._deciding(key):
            self._helm.take(key, holder, now)
            self._helm.end(key, now)

    @contextmanager
    def _deciding(self, key: ChannelKey) -> Iterator[None]:
        """Raises: NotFound: No such channel. Held: Somebody else steers it."""
        self._channels.channel(key)
        try:
            yield
        except Taken as taken:
            raise Held(key, taken.hold.holder, self._wall(taken.hold.until), locked=taken.hold.locked) from None
        self._wake.set()
        self._tell(key)

    def _state(self, key: ChannelKey) -> PtzState:
        hold, is_moving = self._helm.hold(key, self._monotonic()), self._lines.is_moving(key)
        if hold is None:
            return PtzState(is_moving=is_moving)
        return PtzState(hold.holder.user, hold.holder.priority, self._wall(hold.until), hold.locked, is_moving)

    def _wall(self, until: float) -> datetime:
        return self._clock.utc() + timedelta(seconds=until - self._monotonic())

    # --- behind it -------------------------------------------------------------------------------------------------

    def _to(self, key: ChannelKey) -> str:
        return addressee(key, self._devices.profile(key.device_id))

    def _code(self, key: ChannelKey, action: PtzAction, params: PTZCmdParams | None = None) -> DeviceControl:
        code = build(action, address=self._devices.profile(key.device_id).ptz_address)
        return DeviceControl(device_id=key.channel_id, ptz_cmd=code, ptz_cmd_params=params)

    async def _send(self, key: ChannelKey, step: Step) -> None:
        command = step if isinstance(step, DeviceControl) else self._code(key, step)
        await self._exchanges.control(key.device_id, command, answered=False, timeout_s=TRY_S, to=self._to(key))

    def _dropped(self, key: ChannelKey) -> None:
        self._helm.end(key, self._monotonic())

    def _tell(self, key: ChannelKey) -> None:
        """Publishes what is new of a camera; that its hold goes on is not."""
        state = self._state(key)
        told = self._told.get(key, PtzState())
        if (told.held_by, told.locked, told.is_moving) != (state.held_by, state.locked, state.is_moving):
            self._bus.publish(PtzChanged(key, state.held_by, state.until, state.locked, state.is_moving))
        if state.held_by or state.is_moving:
            self._told[key] = state
        else:
            self._told.pop(key, None)

    async def _run_timer(self) -> None:
        while True:
            self._wake.clear()
            deadline = self._helm.next_deadline()
            try:
                async with asyncio.timeout(None if deadline is None else max(0.0, deadline - self._monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                self.expire()


def checked_name(text: str) -> str:
    """A name as the wire holds it.

    Raises:
        Invalid: It is too long, or cannot be printed.
    """
    text = text.strip()
    if not text.isprintable() or len(text.encode("gb18030", errors="replace")) > MOST_NAME:
        raise Invalid(say("ptz.preset_name", text=text[:40], most=MOST_NAME))
    return text
