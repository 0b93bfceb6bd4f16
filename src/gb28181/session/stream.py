"""One channel's live stream: who holds it, how far it has come, what it occupies."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.clock import from_us
from gb28181.device.model import Route
from gb28181.errors import NoPicture
from gb28181.messages import MediaTransport, StreamState
from gb28181.ports import Receiver
from gb28181.session.model import Stage, StageTime, StreamRecord

#: The holder that stands for recording; all others are ids of sessions.
RECORDING: Final = "recording"

_ORDER: Final = tuple(Stage)


class LiveStream:
    """On its way up, running, or on its way down.

    Attributes:
        up: Done when the first key frame came, or failed with the `NoPicture` that everybody who waits is told.
        moved: Set at each new stage.
        gone: Set when nothing of it is left; only then may the channel be invited again (quirk Q94).
        is_orphan: Its ingest went away and has not answered since.
        lack: Why nothing of it can be shown, though it can be recorded; "" for pictures.
        doubt: Why media may never come, as its answer says.
        inviting: The INVITE under way, and `invited_at` where it went.
    """

    def __init__(self, key: ChannelKey, stream_id: str) -> None:
        self.key = key
        self.stream_id = stream_id
        self.holders: set[str] = set()
        self.stages: dict[Stage, datetime] = {}
        self.transport: MediaTransport = "udp"
        self.ssrc = 0
        self.doubt = ""
        self.lack = ""
        self.receiver: Receiver | None = None
        self.record: StreamRecord | None = None
        self.state: StreamState | None = None
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.up.add_done_callback(lambda future: future.cancelled() or future.exception())  # nobody may be waiting
        self.moved = asyncio.Event()
        self.gone = asyncio.Event()
        self.is_orphan = False
        self.closing = False
        self.silent_since: float | None = None
        self.opener: asyncio.Task[None] | None = None
        self.invited_at: Route | None = None
        self.inviting: asyncio.Task[object] | None = None

    @property
    def stage(self) -> Stage:
        return max(self.stages, key=_ORDER.index, default=Stage.RESERVED)

    @property
    def is_up(self) -> bool:
        return self.up.done() and not self.up.cancelled() and self.up.exception() is None and not self.closing

    @property
    def is_recorded(self) -> bool:
        return RECORDING in self.holders

    def stage_times(self) -> tuple[StageTime, ...]:
        """Stages in their order, with the times at which they were reached first."""
        return tuple(StageTime(stage, at) for stage, at in sorted(self.stages.items(), key=lambda item: _ORDER.index(item[0])))

    def reach(self, stage: Stage, at: datetime) -> None:
        if stage not in self.stages:
            self.stages[stage] = at
            self.moved.set()

    def begin_again(self) -> None:
        """Another INVITE for the same stream: only the receiver's reservation counts from before."""
        self.stages = {stage: at for stage, at in self.stages.items() if stage is Stage.RESERVED}

    def settle(self, error: NoPicture | None) -> None:
        """Tells everybody who waits, once."""
        if self.up.done():
            return
        if error is None:
            self.up.set_result(None)
        else:
            self.up.set_exception(error)

    def catch_up(self, state: StreamState) -> None:
        """Takes the stages that an ingest has seen while nobody listened."""
        self.state = state
        for stage, at in (
            (Stage.CONNECTED, state.connected_at),
            (Stage.FIRST_RTP, state.first_rtp_at),
            (Stage.FIRST_PS, state.first_ps_at),
            (Stage.FIRST_KEY_FRAME, state.first_key_frame_at),
        ):
            if at:
                self.reach(stage, from_us(at))
