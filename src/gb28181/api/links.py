"""Signed links to media, as paths of the same origin; the edge checks them without asking anybody."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from gb28181 import tokens
from gb28181.api.services import Services
from gb28181.catalog.model import ChannelKey
from gb28181.recording.model import Segment
from gb28181.session.playback import Playback


def live(services: Services, key: ChannelKey, suffix: str) -> str:
    """Path of a live picture: `/media/live/<device>/<channel>.flv?token=…`."""
    resource = str(key)
    token = tokens.sign(services.link_key, "live", resource, _expiry(services))
    return f"/media/live/{quote(resource)}.{suffix}?token={token}"


def segment(services: Services, found: Segment) -> str | None:
    """Path of a closed segment; None when its volume is not configured any more."""
    try:
        number = list(services.volumes).index(found.volume)
    except ValueError:
        return None
    resource = f"{number}/{found.path}"
    token = tokens.sign(services.link_key, "segment", resource, _expiry(services))
    return f"/media/segment/{quote(resource)}.ps?token={token}"


def hls(services: Services, session: Playback) -> str:
    """Path of a playlist; the token is a part of it, so that what the playlist names inherits it."""
    resource = f"{session.key}/{_range(session)}"
    token = tokens.sign(services.link_key, "hls", resource, int(session.expires_at.timestamp()))
    return f"/media/hls/{quote(resource)}/{token}/index.m3u8"


def playback(services: Services, session: Playback) -> str:
    """Path of a recording as a stream; says what may be watched, so that the edge need not ask."""
    resource = f"{session.session_id}/{session.key}/{_range(session)}"
    token = tokens.sign(services.link_key, "playback", resource, int(session.expires_at.timestamp()))
    asked = {"device": session.key.device_id, "channel": session.key.channel_id, "range": _range(session), "token": token}
    return f"/media/playback/{session.session_id}.flv?{urlencode(asked)}"


def _range(session: Playback) -> str:
    """In milliseconds since 1970; a part of one counts as a whole."""
    return f"{session.start // 1000}-{-(-session.end // 1000)}"


def export(services: Services, key: ChannelKey, start_ms: int, end_ms: int, suffix: str) -> str:
    """Path of an export: `/media/export/<device>/<channel>/<start>-<end>.mp4?token=…`."""
    resource = f"{key}/{start_ms}-{end_ms}.{suffix}"
    token = tokens.sign(services.link_key, "export", resource, _expiry(services))
    return f"/media/export/{quote(resource)}?token={token}"


def snapshot(services: Services, key: ChannelKey, at_ms: int | None) -> str:
    """Path of a picture: `/media/snapshot/<device>/<channel>.jpg?token=…`, of a moment `…/<channel>/<ms>.jpg?token=…`."""
    resource = str(key) if at_ms is None else f"{key}/{at_ms}"
    token = tokens.sign(services.link_key, "snapshot", resource, _expiry(services))
    return f"/media/snapshot/{quote(resource)}.jpg?token={token}"


def picture(services: Services, order_id: str, name: str) -> str:
    """Path of a picture that a device uploaded: `/media/picture/<order>/<name>?token=…`."""
    resource = f"{order_id}/{name}"
    return f"/media/picture/{quote(resource)}?token={tokens.sign(services.link_key, 'picture', resource, _expiry(services))}"


def store_firmware(services: Services, firmware_id: str, lasts_s: float) -> str:
    """Path to which a firmware file is sent: `/media/firmware/<id>?token=…`."""
    expires_at = int(services.clock.utc().timestamp() + lasts_s)
    return f"/media/firmware/{firmware_id}?token={tokens.sign(services.link_key, 'firmware-store', firmware_id, expires_at)}"


def _expiry(services: Services) -> int:
    return int(services.clock.utc().timestamp()) + services.link_ttl_s
