"""Maker of a device that does not tell it in DeviceInfo, from its User-Agent (quirk Q58)."""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    ("hikvision", "Hikvision"),
    ("dahua", "Dahua"),
    ("uniview", "Uniview"),
    ("huawei", "Huawei"),
    ("tiandy", "Tiandy"),
    ("kedacom", "Kedacom"),
    ("tp-link", "TP-Link"),
    ("ezviz", "EZVIZ"),
)


def manufacturer_of(user_agent: str) -> str:
    """The maker's name where the User-Agent holds it, else ""."""
    lowered = user_agent.lower()
    return next((name for token, name in _NAMES if token in lowered), "")
