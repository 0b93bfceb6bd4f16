"""Signed links to media: control makes them, edge checks them without asking anybody.

A token binds one action on one resource until one moment. It says nothing about who may use it: whoever holds the link may.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from typing import Final, Literal

from gb28181.errors import Denied
from gb28181.texts.text import say

Action = Literal["live", "segment", "hls", "playback", "export", "snapshot", "upload", "picture", "firmware", "firmware-store"]

_EXPIRY: Final = struct.Struct(">Q")
_MAC_BYTES: Final = 16


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose from the data folder's secret."""
    return hmac.new(secret, b"gb28181 " + purpose.encode(), hashlib.sha256).digest()


def sign(key: bytes, action: Action, resource: str, expires_at: int) -> str:
    """Token for a link.

    Args:
        expires_at: Seconds since 1970, UTC.
    """
    raw = _EXPIRY.pack(expires_at) + _mac(key, action, resource, expires_at)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def check(key: bytes, action: Action, resource: str, token: str, now: float) -> None:
    """Returns for a good token.

    Raises:
        Denied: It is malformed, was made for something else, or has expired.
    """
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != _EXPIRY.size + _MAC_BYTES:
        raise Denied(say("media.link_malformed"))
    (expires_at,) = _EXPIRY.unpack_from(raw)
    if not hmac.compare_digest(raw[_EXPIRY.size :], _mac(key, action, resource, expires_at)):
        raise Denied(say("media.link_foreign"))
    if now > expires_at:
        raise Denied(say("media.link_expired"))


def _mac(key: bytes, action: str, resource: str, expires_at: int) -> bytes:
    return hmac.new(key, f"{action}\n{resource}\n{expires_at}".encode(), hashlib.sha256).digest()[:_MAC_BYTES]
