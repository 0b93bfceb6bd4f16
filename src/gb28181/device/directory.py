"""All known devices in memory, by identifier and by address. The store is written behind and never waited for (quirk Q13)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gb28181.device.model import Address, Device, Registration
from gb28181.device.profile import Profiles
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.ports import DeviceStore

#: What decides about a device's profile.
_TELLING: Final = frozenset({"manufacturer", "model", "user_agent", "gb_version", "overrides"})


@dataclass(slots=True)
class Peer:
    """One device and what this process knows of it beside what is stored.

    Args:
        is_confirmed: It was heard since this process began; what was restored may be at an address of somebody else by now.
        saved_at, probed_at: Monotonic seconds.
    """

    device: Device
    is_confirmed: bool = False
    saved_at: float = float("-inf")
    probed_at: float = float("-inf")


class Directory:
    """Devices by identifier, and by the address of their registration."""

    def __init__(self, store: DeviceStore, profiles: Profiles, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._profiles = profiles
        self._monotonic = monotonic
        self._peers: dict[DeviceId, Peer] = {}
        self._by_address: dict[Address, set[DeviceId]] = {}

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
            raise NotFound(f"there is no device {device_id[:64]}")
        return peer

    def at(self, place: Address) -> Iterable[DeviceId]:
        """Devices registered at an address."""
        return self._by_address.get(place, ())

    # --- changes ---------------------------------------------------------------------------------------------------

    def add(self, device: Device) -> Peer:
        """Takes a device in; nothing is written."""
        peer = self._peers[device.device_id] = Peer(device.with_changes(profile=self._profiles.resolve(device)))
        self._index(peer)
        return peer

    def remove(self, peer: Peer) -> None:
        self._unindex(peer)
        self._peers.pop(peer.device.device_id, None)

    def register(self, peer: Peer, registration: Registration | None, **changes: object) -> None:
        """Replaces its registration, and whatever else changes with it."""
        self._unindex(peer)
        self._replace(peer, {"registration": registration, **changes})
        self._index(peer)
        self.save(peer)

    def change(self, peer: Peer, **changes: object) -> bool:
        """For all but the registration. Whether anything changed."""
        known = peer.device
        self._replace(peer, changes)
        if peer.device == known:
            return False
        self.save(peer)
        return True

    def save(self, peer: Peer) -> None:
        peer.saved_at = self._monotonic()
        self._store.save_device(peer.device)

    def _replace(self, peer: Peer, changes: dict[str, object]) -> None:
        device = peer.device.with_changes(**changes)
        if any(getattr(peer.device, name) != changes[name] for name in _TELLING & changes.keys()):
            device = device.with_changes(profile=self._profiles.resolve(device))
        peer.device = device

    def _index(self, peer: Peer) -> None:
        if peer.device.registration is not None:
            self._by_address.setdefault(peer.device.registration.route.remote, set()).add(peer.device.device_id)

    def _unindex(self, peer: Peer) -> None:
        if peer.device.registration is None:
            return
        place = peer.device.registration.route.remote
        found = self._by_address.get(place, set())
        found.discard(peer.device.device_id)
        if not found:
            self._by_address.pop(place, None)
