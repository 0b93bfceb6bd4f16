"""The state of everything on one page: counts, disks, how long recordings are kept, what is missing."""

from __future__ import annotations

from typing import Final

from gb28181.api import views
from gb28181.api.endpoints.access import Counts, RecordingCounts
from gb28181.api.fields import Said, Shown
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.clock import from_us
from gb28181.messages import VolumeState
from gb28181.recording.archive import Missing
from gb28181.recording.model import GapTotal

_MISSING: Final = 100
_HOUR_US: Final = 3_600_000_000


class DiskView(views.VolumeView):
    """A volume. `oldest_at`: start of its oldest segment, null while it has none; `kept_h`: how long ago that is."""

    oldest_at: Shown | None
    kept_h: float


class KeptView(Model):
    """Channels to be kept for `retention_hours`: age of the oldest recording of the one that has least, and most."""

    retention_hours: float
    channels: int
    shortest_h: float
    longest_h: float


class MissingView(Model):
    """A channel that is to be recorded and is not.

    `cause` is one of the causes of gaps, empty before there is a gap; `message` says what was tried last.
    """

    device_id: str
    channel_id: str
    name: str
    online: bool
    state: str
    cause: str
    message: Said
    since: Shown | None


class GapTotalView(Model):
    """Gaps of one cause in the last 24 hours; `seconds` counts what lies in them."""

    cause: str
    gaps: int
    channels: int
    lasting: int
    seconds: float


class OverviewAnswer(Model):
    """`missing` holds the first hundred, the longest first; `missing_total` counts all."""

    time: Shown
    devices: Counts
    channels: Counts
    recording: RecordingCounts
    sessions: int
    disks: list[DiskView]
    kept: list[KeptView]
    missing: list[MissingView]
    missing_total: int
    gaps: list[GapTotalView]


@route("GET", "/overview", right="view", response=OverviewAnswer)
async def overview(call: Call[None, None]) -> OverviewAnswer:
    """Shows counts, disks, how long recordings are kept, which due channels are not recorded, and the gaps of 24 hours."""
    services = call.services
    found = await services.archive.overview(limit=_MISSING)
    devices = services.devices.devices()
    channels = services.catalog.counts()
    recording = services.recordings.counts()
    now = services.clock.utc_us()
    return OverviewAnswer(
        time=services.clock.utc(),
        devices=Counts(total=len(devices), online=sum(services.devices.is_online(each.device_id) for each in devices)),
        channels=Counts(total=channels.total, online=channels.online),
        recording=RecordingCounts(due=recording["due"], recording=recording["recording"]),
        sessions=len(services.sessions.sessions()),
        disks=[_disk(services, state, found.oldest.get(state.volume), now) for state in services.volume_states()],
        kept=[
            KeptView(
                retention_hours=each.hours,
                channels=each.channels,
                shortest_h=round(each.shortest / _HOUR_US, 3),
                longest_h=round(each.longest / _HOUR_US, 3),
            )
            for each in found.kept
        ],
        missing=[_missing(services, each) for each in found.missing],
        missing_total=found.missing_total,
        gaps=[_gaps(each) for each in found.gaps],
    )


def _disk(services: Services, state: VolumeState, oldest: int | None, now: int) -> DiskView:
    return DiskView(
        **views.volume(services, state).model_dump(),
        oldest_at=None if oldest is None else from_us(oldest),
        kept_h=0.0 if oldest is None else round(max(0, now - oldest) / _HOUR_US, 3),
    )


def _missing(services: Services, each: Missing) -> MissingView:
    key = each.channel.key
    cause = each.gap.cause if each.gap else ""
    if not services.devices.is_online(key.device_id):
        cause = "device_offline"
    return MissingView(
        device_id=key.device_id,
        channel_id=key.channel_id,
        name=views.shown_name(each.channel),
        online=services.catalog.is_online(key),
        state=each.status.state,
        cause=cause,
        message=each.status.message,
        since=from_us(each.gap.start) if each.gap else None,
    )


def _gaps(total: GapTotal) -> GapTotalView:
    return GapTotalView(
        cause=total.cause,
        gaps=total.gaps,
        channels=total.channels,
        lasting=total.lasting,
        seconds=round(total.length / 1e6, 1),
    )


ROUTES: tuple[Route, ...] = (overview,)
