"""What a device's edition of the standard has, and what it has not: refused before anything is begun."""

from __future__ import annotations

from gb28181.errors import NotInEdition
from gb28181.exchange import edition_of
from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import lacking
from gb28181.ports import Devices
from gb28181.texts.text import say


def spoken(devices: Devices, device_id: DeviceId) -> Edition:
    """The edition that a device is spoken to in.

    Raises:
        NotFound: No such device.
    """
    devices.get(device_id)
    return edition_of(devices.profile(device_id))


def demand(devices: Devices, device_id: DeviceId, command: object) -> None:
    """Returns when the device's edition has all of a command.

    Raises:
        NotFound: No such device.
        NotInEdition: It lacks the command or one of its elements.
    """
    edition = spoken(devices, device_id)
    if missing := lacking(command, edition):
        raise too_old(device_id, ", ".join(missing), edition)


def too_old(device_id: str, what: str, edition: Edition) -> NotInEdition:
    """The error of a device whose edition lacks `what`."""
    return NotInEdition(say("command.edition", device_id=device_id, edition=edition, what=what))
