"""Identifiers: 20-digit device codes (§ Annex E) and SSRC values (y=, Annex G).

An identifier from a peer is an opaque string for routing and storage; it is decoded only for display and type guesses,
because real devices are configured with codes that break the rules (quirk Q25).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, NewType

from gb28181.errors import Invalid, WireError
from gb28181.texts.text import say

DeviceId = NewType("DeviceId", str)

#: What may stand in a device or channel identifier. Codes are 20 digits; 2 to 8 digits are civil divisions; the rest is
#: what firmware really sends. `.` and `..` are no names: in the path of a URL they name something else.
_ACCEPTED: Final = re.compile(r"(?!\.{1,2}$)[0-9A-Za-z_.-]{1,64}", re.ASCII)
_PATH_SAFE: Final = re.compile(r"[0-9A-Za-z_-]{1,32}")
_DIGITS: Final = frozenset("0123456789")

CAMERA_TYPES: Final = frozenset({"131", "132"})
PLATFORM_TYPE: Final = "200"
BUSINESS_GROUP_TYPE: Final = "215"
VIRTUAL_ORG_TYPE: Final = "216"


def device_id(text: str) -> DeviceId:
    """Accepts an identifier as a peer sent it.

    Raises:
        WireError: It is empty, too long or holds characters that no identifier may hold.
    """
    text = text.strip()
    if not _ACCEPTED.fullmatch(text):
        raise WireError(say("http.identifier", text=text[:40]), clause="E.1")
    return DeviceId(text)


def type_code(identifier: str) -> str:
    """Digits 11 to 13 of a 20-digit code, "" where the code has another shape (E.1)."""
    if len(identifier) != 20 or not _DIGITS.issuperset(identifier):
        return ""
    return identifier[10:13]


def domain_of(identifier: str) -> str:
    """SIP domain of a platform: centre and industry code, the first ten digits (E.1)."""
    return identifier[:10]


def path_part(identifier: str) -> str:
    """Name of a folder for an identifier: itself, or its hash where it is not safe in a path."""
    if _PATH_SAFE.fullmatch(identifier):
        return identifier
    return "h-" + hashlib.sha256(identifier.encode()).hexdigest()[:30]


@dataclass(frozen=True, slots=True)
class Ssrc:
    """Synchronisation source of a session, written `T DDDDD NNNN` in ten decimal digits (Annex G, y=).

    Args:
        value: The number that stands in the RTP header, 0 to 2^32 - 1.
    """

    value: int

    @classmethod
    def make(cls, platform_id: str, serial: int, *, history: bool = False) -> Ssrc:
        """Builds the SSRC of a session of ours: 0 live / 1 history, digits 4 to 8 of the platform, a serial 0-9999."""
        if not 0 <= serial <= 9999:
            raise Invalid(f"SSRC serial {serial} is not in 0..9999")
        middle = platform_id[3:8].rjust(5, "0")
        if not _DIGITS.issuperset(middle):
            middle = "00000"
        return cls(int(f"{'1' if history else '0'}{middle}{serial:04d}"))

    @classmethod
    def parse(cls, text: str) -> Ssrc:
        """Reads y=; leading zeros may be missing (quirk Q83)."""
        digits = text.strip()
        if not digits or len(digits) > 20 or not _DIGITS.issuperset(digits):
            raise WireError(f"y= is not a decimal SSRC: {text[:40]!r}", clause="Annex G")
        return cls(int(digits) & 0xFFFFFFFF)

    def __str__(self) -> str:
        return f"{self.value:010d}"
