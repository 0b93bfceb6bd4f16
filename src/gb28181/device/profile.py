"""Which profile a device has: a table of vendors, what the configuration changes in it, what an operator sets for one device.

Devices of one vendor and edition without overrides share one object: fifty thousand of them cost a few.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

from gb28181.config import Settings
from gb28181.device.model import NOTHING, Device, Edition, Profile, ProfileValue
from gb28181.errors import Invalid
from gb28181.manscdp.edition import edition_of
from gb28181.texts.text import say


@dataclasses.dataclass(frozen=True, slots=True)
class Vendor:
    """One row of the table.

    Args:
        name: In the API and in the configuration.
        manufacturer: As it is shown where a device does not tell it (quirk Q58).
        tokens: Lower case; one of them in Manufacturer, Model or User-Agent means this vendor.
        changes: Fields of `Profile` that are otherwise than the edition's.
    """

    name: str
    manufacturer: str
    tokens: tuple[str, ...]
    changes: Mapping[str, ProfileValue] = dataclasses.field(default_factory=lambda: NOTHING)


#: The first row that fits counts. What stands in `changes` was seen (the quirk is named); nothing is guessed.
VENDORS: Final[tuple[Vendor, ...]] = (
    Vendor("hikvision", "Hikvision", ("hikvision", "海康"), MappingProxyType({"set_guard": "camera"})),  # quirk Q174
    Vendor("dahua", "Dahua", ("dahua", "大华"), MappingProxyType({"config_target": "device"})),  # quirk Q55
    Vendor("uniview", "Uniview", ("uniview", "宇视")),
    Vendor("huawei", "Huawei", ("huawei", "华为")),
    Vendor("tiandy", "Tiandy", ("tiandy", "天地伟业")),
    Vendor("kedacom", "Kedacom", ("kedacom", "科达")),
    Vendor("tp-link", "TP-Link", ("tp-link", "普联")),
    Vendor("ezviz", "EZVIZ", ("ezviz", "萤石")),
)

#: Lowest and highest number of each field that is one; seconds, but for the count of misses and the address.
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "catalog_first_wait_s": (1, 3600),
    "catalog_gap_s": (1, 3600),
    "keep_open_s": (0, 600),
    "keepalive_interval_s": (0, 3600),
    "keepalive_misses": (1, 100),
    "ptz_address": (0, 0xFFF),
}
#: Descriptions whose profile is remembered; beyond it they are looked at anew.
_MOST_MADE: Final = 10_000
_KINDS: Final = get_type_hints(Profile)
_DIGITS: Final = frozenset("123456789")


def declared_edition(version: str) -> Edition | None:
    """Edition of an X-GB-Ver (Annex I); None where it says nothing."""
    return cast("Edition", str(edition_of(version))) if version.strip()[:1] in _DIGITS else None


def checked(name: str, value: object) -> ProfileValue:
    """A value that a field of `Profile` may have.

    Raises:
        Invalid: There is no such field, or it cannot have this value.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise Invalid(say("device.profile_field", name=name, known=", ".join(_KINDS)))
    if get_origin(kind) is Literal:
        if value in (choices := get_args(kind)):
            return cast("str", value)
        raise Invalid(say("device.profile_choice", name=name, value=str(value)[:40], choices=", ".join(choices)))
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise Invalid(say("device.profile_flag", name=name, value=str(value)[:40]))
    if kind is str:
        if isinstance(value, str):
            return value
        raise Invalid(say("device.profile_text", name=name, value=str(value)[:40]))
    low, high = RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Invalid(say("device.profile_number", name=name, value=str(value)[:40], low=low, high=high))
    return int(value) if kind is int else float(value)


class Profiles:
    """Profiles of all devices.

    Args:
        base: What holds where neither vendor nor operator says otherwise.
        configured: What the configuration changes: by name of a row, fields of `Profile`, and `match` for the tokens of a row
            of its own.

    Raises:
        Invalid: The configuration names a field or value that does not exist.
    """

    def __init__(self, base: Profile | None = None, configured: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> None:
        self.base = base or Profile()
        self._rows = {vendor.name: vendor for vendor in VENDORS}
        for name, fields in configured.items():
            self._rows[name] = _configured(name, fields, self._rows.get(name))
        self._made: dict[tuple[str, str, str, str, str, tuple[tuple[str, ProfileValue], ...]], Profile] = {}
        # As many as there are ways to be treated: firmware with a serial number in its User-Agent makes no more of them.
        self._shared: dict[Profile, Profile] = {}

    @classmethod
    def of(cls, settings: Settings) -> Profiles:
        """Raises:
        Invalid: See above.
        """
        sip, catalog = settings.sip, settings.catalog
        base = Profile(
            media_transport=settings.media.transport,
            catalog_first_wait_s=catalog.first_answer_s,
            catalog_gap_s=catalog.quiet_s,
            date_header=sip.date_header,
            keep_open_s=sip.nat_keepalive_s,
            keepalive_policy=sip.keepalive_policy,
            keepalive_misses=sip.keepalive_misses,
        )
        return cls(base, settings.profiles)

    def vendors(self) -> list[str]:
        """Names of all rows."""
        return list(self._rows)

    def merged(
        self, overrides: Mapping[str, ProfileValue], changes: Mapping[str, ProfileValue | None]
    ) -> Mapping[str, ProfileValue]:
        """Overrides after an operator's changes; None takes one back.

        Raises:
            Invalid: There is no such field, or it cannot have this value.
        """
        found = dict(overrides)
        for name, value in changes.items():
            if value is None:
                found.pop(name, None)
                continue
            found[name] = checked(name, value)
            if name == "vendor" and value not in self._rows:
                raise Invalid(say("device.no_vendor", value=str(value)[:40], known=", ".join(self._rows)))
        return MappingProxyType(found) if found else NOTHING

    def resolve(self, device: Device) -> Profile:
        """The profile of a device as it is now."""
        overrides = tuple(sorted(device.overrides.items())) if device.overrides else ()
        key = (device.manufacturer, device.model, device.user_agent, device.gb_version, device.edition_hint, overrides)
        profile = self._made.get(key)
        if profile is None:
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            profile = self._make(device)
            profile = self._made[key] = self._shared.setdefault(profile, profile)
        return profile

    def _make(self, device: Device) -> Profile:
        row, edition = self._row(device), declared_edition(device.gb_version)
        hinted = {"edition": device.edition_hint} if device.edition_hint else {}
        declared = {"edition": edition} if edition else {}
        changes: dict[str, Any] = {**hinted, **row.changes, **declared, **device.overrides, "vendor": row.name}
        if changes.get("edition", self.base.edition) == "2022":
            changes.setdefault("charset", "gb18030")  # §6.10
        return dataclasses.replace(self.base, **changes)

    def manufacturer(self, user_agent: str) -> str:
        """The maker's name where the User-Agent holds it, else "" (quirk Q58)."""
        return self._found(user_agent).manufacturer

    def _row(self, device: Device) -> Vendor:
        named = self._rows.get(str(device.overrides.get("vendor", "")))
        return named or self._found(f"{device.manufacturer} {device.model} {device.user_agent}")

    def _found(self, text: str) -> Vendor:
        lowered = text.lower()
        return next((row for row in self._rows.values() if any(token in lowered for token in row.tokens)), _NO_VENDOR)


_NO_VENDOR: Final = Vendor("", "", ())


def _configured(name: str, fields: Mapping[str, Any], row: Vendor | None) -> Vendor:
    row = row or Vendor(name, "", ())
    changes = dict(fields)
    match = changes.pop("match", row.tokens)
    try:
        wanted = {key: checked(key, value) for key, value in changes.items() if key != "vendor"}
    except Invalid as error:
        raise Invalid(say("start.profile", name=name, error=error)) from None
    if not isinstance(match, list | tuple) or not all(isinstance(token, str) and token.strip() for token in match):
        raise Invalid(say("start.profile_match", name=name, match=str(match)[:40]))
    return dataclasses.replace(
        row, tokens=tuple(token.strip().lower() for token in match), changes=MappingProxyType({**row.changes, **wanted})
    )
