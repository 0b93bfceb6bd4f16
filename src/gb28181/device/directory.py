"""All known devices in memory, by identifier and by address. The store is written behind and never waited for (quirk Q13).

What changes with every message (last sign of life, faults, clock) lies beside the device and becomes part of it when somebody
asks or it is written: a keepalive makes no new device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gb28181.device.faults import counted
from gb28181.device.model import Address, Device, Fault, Registration
from gb28181.device.offset import ClockOffset
from gb28181.device.profile import Profiles
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.ports import DeviceStore
from gb28181.texts.text import say

#: What decides about a device's profile.
_TELLING: Final = frozenset({"manufacturer", "model", "user_agent", "gb_version", "edition_hint", "overrides"})


@dataclass(slots=True)
class Peer:
    """One device and what this process knows of it beside what is stored.

    Args:
        device: As it was when it last changed; `current()` has all.
        is_confirmed: It was heard since this process began; what was restored may be at an address of somebody else by now.
        saved_at, probed_at: Monotonic seconds.
        seen_at, faults: Newer than those of `device`; None where nothing is newer.
        clock: What its times have told; None before the first.
    """

    device: Device
    is_confirmed: bool = False
    saved_at: float = float("-inf")
    probed_at: float = float("-inf")
    seen_at: datetime | None = None
    faults: Mapping[str, Fault] | None = None
    clock: ClockOffset | None = None

    def current(self) -> Device:
        """The device with everything that is known."""
        clock = self.clock
        is_measured = clock is not None and clock.at != self.device.clock_offset_at
        if self.seen_at is None and self.faults is None and not is_measured:
            return self.device
        changes: dict[str, object] = {}
        if self.seen_at is not None:
            changes["last_seen_at"] = self.seen_at
        if self.faults is not None:
            changes["faults"] = self.faults
        if clock is not None and is_measured:
            changes["clock_offset_s"], changes["clock_offset_at"] = round(clock.offset_s, 3), clock.at
        self.device = self.device.with_changes(**changes)
        self.seen_at = self.faults = None
        return self.device

    def count_fault(self, name: str, at: datetime, *, count: int = 1, detail: str = "") -> None:
        """Written with the device's next state that is."""
        self.faults = counted(self.device.faults if self.faults is None else self.faults, name, at, count=count, detail=detail)


class Directory:
    """Devices by identifier, and by the address of their registration."""

    def __init__(self, store: DeviceStore, profiles: Profiles, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._profiles = profiles
        self._monotonic = monotonic
        self._peers: dict[DeviceId, Peer] = {}
        self._by_address: dict[Address, tuple[DeviceId, ...]] = {}  # mostly one: a tuple is a quarter of a set

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, device_id: str) -> bool:
        return device_id in self._peers

    def peers(self) -> Iterable[Peer]:
        return self._peers.values()

    def find(self, device_id: str) -> Peer | None:
        return self._peers.get(DeviceId(device_id))

    def get(self, device_id: str) -> Peer:
        """Raises:
        NotFound: No such device.
        """
        peer = self.find(device_id)
        if peer is None:
            raise NotFound(say("device.unknown", device_id=device_id[:64]))
        return peer

    def at(self, place: Address) -> Iterable[DeviceId]:
        """Devices registered at an address."""
        return self._by_address.get(place, ())

    # --- changes ---------------------------------------------------------------------------------------------------

    def add(self, device: Device) -> Peer:
        """Takes a device in; nothing is written."""
        profile = self._profiles.resolve(device)
        if profile is not device.profile:
            device = device.with_changes(profile=profile)
        peer = self._peers[device.device_id] = Peer(device)
        self._index(peer)
        return peer

    def remove(self, peer: Peer) -> None:
        self._unindex(peer)
        self._peers.pop(peer.device.device_id, None)

    def register(self, peer: Peer, registration: Registration | None, *, save: bool = True, **changes: object) -> None:
        """Replaces its registration, and whatever else changes with it.

        Args:
            save: Whether it is written now, or with its next change.
        """
        old = peer.device.registration
        is_there = old is not None and registration is not None and old.route.remote == registration.route.remote
        if not is_there:
            self._unindex(peer)
        self._replace(peer, {"registration": registration, **changes})
        if not is_there:
            self._index(peer)
        if save:
            self.save(peer)

    def change(self, peer: Peer, **changes: object) -> bool:
        """For all but the registration. Whether anything changed."""
        known = peer.current()
        self._replace(peer, changes)
        if peer.device == known:
            return False
        self.save(peer)
        return True

    def save(self, peer: Peer) -> None:
        peer.saved_at = self._monotonic()
        self._store.save_device(peer.current())

    def _replace(self, peer: Peer, changes: dict[str, object]) -> None:
        known = peer.current()
        device = known.with_changes(**changes)
        if any(getattr(known, name) != changes[name] for name in _TELLING & changes.keys()):
            device = device.with_changes(profile=self._profiles.resolve(device))
        peer.device = device

    def _index(self, peer: Peer) -> None:
        if peer.device.registration is not None:
            place = peer.device.registration.route.remote
            self._by_address[place] = (*self._by_address.get(place, ()), peer.device.device_id)

    def _unindex(self, peer: Peer) -> None:
        if peer.device.registration is None:
            return
        place = peer.device.registration.route.remote
        left = tuple(device_id for device_id in self._by_address.get(place, ()) if device_id != peer.device.device_id)
        if left:
            self._by_address[place] = left
        else:
            self._by_address.pop(place, None)
