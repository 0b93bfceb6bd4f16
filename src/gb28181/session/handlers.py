"""What the session feature receives: requests inside its dialogs."""

from __future__ import annotations

from collections.abc import Iterable

from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import MediaStatus
from gb28181.ports import SipRequest
from gb28181.router import Finder, Routes
from gb28181.session.media_status import MediaStatuses
from gb28181.session.service import SessionService


def routes(sessions: SessionService, statuses: MediaStatuses) -> Routes:
    return {"BYE": sessions.bye, "INFO": sessions.info, MediaStatus: statuses.arrived}


def by_dialog(sessions: SessionService) -> Finder:
    """Finds the device by the dialog that a request belongs to: its From may be a channel (quirk Q32)."""

    def find(request: SipRequest) -> Iterable[DeviceId]:
        key = sessions.owner_of_call(request.call_id)
        return [key.device_id] if key else []

    return find
