"""What operators do with devices: provision, change, remove, let in from quarantine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.device.directory import Directory, Peer
from gb28181.device.info import MAX_TEXT
from gb28181.device.model import Device, DeviceChange, DeviceChanged, DeviceOffline
from gb28181.device.networks import checked_networks
from gb28181.device.profile import Profiles
from gb28181.device.quarantine import Quarantine
from gb28181.errors import Conflict, Invalid, WireError
from gb28181.ids import device_id as checked_id
from gb28181.ports import DeviceStore, Secrets
from gb28181.sip.uri import parse_uri
from gb28181.texts.text import say

_MOST_NETWORKS = 64


class Administration:
    """Carries out what operators change.

    Args:
        server_id: Ours: nobody is sent from here to here.
        changed: Called with a device whose profile or networks may be others now.
        removed: Called with a device before it is forgotten.
    """

    def __init__(
        self,
        directory: Directory,
        quarantine: Quarantine,
        profiles: Profiles,
        *,
        server_id: str,
        store: DeviceStore,
        secrets: Secrets,
        bus: Bus,
        clock: Clock,
        changed: Callable[[Peer], None],
        removed: Callable[[Peer], None],
    ) -> None:
        self._directory = directory
        self._quarantine = quarantine
        self._profiles = profiles
        self._server_id = server_id
        self._store = store
        self._secrets = secrets
        self._bus = bus
        self._clock = clock
        self._changed = changed
        self._removed = removed

    async def provision(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        """Adds a device that has not registered yet.

        Raises:
            Invalid: The identifier or the name cannot be used.
            Conflict: The device exists.
        """
        try:
            identifier = checked_id(device_id)
        except WireError as error:
            raise Invalid(error.reason) from None
        if identifier in self._directory:
            raise Conflict(say("device.exists", identifier=identifier))
        device = Device(identifier, name=_name(name), password=self._sealed(password), created_at=self._clock.utc())
        peer = self._directory.add(device)
        self._quarantine.remove(identifier)
        await self._store.save_device_now(peer.device)
        self._bus.publish(DeviceChanged(identifier))
        return peer.device

    async def accept(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        """Makes a device of a stranger; it registers when it tries again, within a minute as a rule.

        Raises:
            NotFound: It is not in quarantine.
            Invalid: It has not proved the domain's password, and needs one of its own.
        """
        stranger = self._quarantine.get(device_id)
        if not password and stranger.reason != "unknown":
            raise Invalid(say("device.give_password", device_id=stranger.device_id, why=_WITHOUT[stranger.reason]))
        return await self.provision(stranger.device_id, name=name, password=password)

    async def update(self, device_id: str, change: DeviceChange) -> Device:
        """Changes what is given.

        Raises:
            NotFound: No such device.
            Invalid: A value cannot be used; nothing was changed.
        """
        peer = self._directory.get(device_id)
        changes: dict[str, object] = {}
        if change.name is not None:
            changes["name"] = _name(change.name)
        if change.password is not None:
            changes["password"] = self._sealed(change.password)
        if change.networks is not None:
            changes["networks"] = _networks(change.networks)
        if change.redirect is not None:
            changes["redirect"] = redirect_uri(change.redirect, self._server_id)
        if change.overrides:
            changes["overrides"] = self._profiles.merged(peer.device.overrides, change.overrides)
        self._directory.change(peer, **changes)
        self._changed(peer)
        await self._store.save_device_now(peer.device)
        self._bus.publish(DeviceChanged(peer.device.device_id))
        return peer.device

    async def remove(self, device_id: str) -> None:
        """Forgets a device and its channels; one that still knows a password appears again.

        Raises:
            NotFound: No such device.
        """
        peer = self._directory.get(device_id)
        identifier = peer.device.device_id
        self._directory.remove(peer)
        self._removed(peer)
        await self._store.delete_device(identifier)
        self._bus.publish(DeviceOffline(identifier, "deleted"))

    def _sealed(self, password: str) -> bytes | None:
        return self._secrets.seal(password) if password else None


_WITHOUT: Mapping[str, str] = {
    "wrong-password": say("device.shown_wrong_password"),
    "no-password": say("device.no_domain_password"),
}


def redirect_uri(text: str, server_id: str) -> str:
    """URI of a server to which devices are sent on, "" for none.

    Raises:
        Invalid: It is no URI with an identifier and a host, or our own.
    """
    if not (text := text.strip()):
        return ""
    uri = parse_uri(text)
    if uri is None or not uri.user or not uri.host or len(text) > MAX_TEXT:
        raise Invalid(say("device.redirect_uri", text=text[:80]))
    if uri.user == server_id:
        raise Invalid(say("device.redirect_self", text=text[:80]))
    return text


def _name(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise Invalid(say("device.name_length", most=MAX_TEXT))
    return text


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) > _MOST_NETWORKS:
        raise Invalid(say("device.networks_full", texts=len(texts), most=_MOST_NETWORKS))
    return checked_networks(texts)
