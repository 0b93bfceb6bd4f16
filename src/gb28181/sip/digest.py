"""Digest authentication of requests, server side (RFC 3261 §22, RFC 2617, RFC 7616; quirks Q19, Q20, Q22).

Nonces are ours: `time | random | HMAC(key, time, random, source host)`, so that they need no memory, survive a restart and
are worthless from another host. What is remembered is only who used a nonce last, and that is bounded.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from gb28181.texts.text import say, together

Algorithm = Literal["MD5", "SHA-256"]

_HASHES: Final[Mapping[str, Callable[[bytes], str]]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}

#: `name = "quoted"` or `name = token`; a quoted value may hold commas and escaped characters.
_PARAMETER: Final = re.compile(r'(?<![\w-])([A-Za-z][\w-]{0,30})\s{0,8}=\s{0,8}(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_MAX_CREDENTIALS: Final = 4096
_HEX8: Final = re.compile(r"[0-9A-Fa-f]{1,8}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")

#: Seconds, random: what stands in a nonce before its MAC. 16 bytes in all: old firmware has room for 32 characters.
_PREFIX: Final = struct.Struct("!I4s")
_MAC_BYTES: Final = 8


def digest_response(
    algorithm: Algorithm, *, username: str, realm: str, password: str, method: str, uri: str, nonce: str, counter: str = ""
) -> str:
    """Lower-case hex of the response (RFC 2617 §3.2.2.1).

    Args:
        counter: `nc:cnonce:qop` as the client wrote them; "" for the form without qop (RFC 2069).
    """
    digest = _HASHES[algorithm]
    ha1 = digest(_octets(f"{username}:{realm}:{password}"))
    ha2 = digest(_octets(f"{method}:{uri}"))
    middle = f"{nonce}:{counter}" if counter else nonce
    return digest(_octets(f"{ha1}:{middle}:{ha2}"))


class Verdict(Enum):
    """What an Authorization header proves."""

    OK = "ok"
    #: There is none, or it is not Digest: challenge.
    MISSING = "missing"
    #: The nonce is not ours, expired, of another source or device, or replayed: challenge with `stale=true`.
    STALE = "stale"
    #: It was made with another password, realm or algorithm: counts as a failed attempt.
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Verification:
    """Verdict with the words that tell an operator what to check; no secret stands in `reason`.

    Args:
        username: As the client sent it, "" where there is none; may differ from the device id (quirk Q22).
    """

    verdict: Verdict
    reason: str
    username: str = ""


@dataclass(slots=True)
class _Use:
    issued: int
    device_id: str
    nc: int


class DigestServer:
    """Challenges and verifies.

    Args:
        key: Secret of this server; the same after a restart.
        realm: The SIP domain, ten digits as a rule.
        ttl_s: Seconds after its issue in which a nonce may be used.
        algorithm: The only one offered: two challenge lines break old firmware.
        max_uses: Nonces in use that are remembered. When full the oldest is forgotten, and every nonce as old as it
            that is not remembered counts as stale: a client is challenged once more, nothing is replayed.
    """

    def __init__(self, key: bytes, realm: str, ttl_s: float, algorithm: Algorithm = "MD5", *, max_uses: int = 200_000) -> None:
        self.realm = realm
        self._key = key
        self._ttl_s = ttl_s
        self._algorithm: Algorithm = algorithm
        self._max_uses = max_uses
        self._uses: dict[str, _Use] = {}
        self._forgotten_at = -1

    def challenge(self, now: float, *, source: str, stale: bool = False) -> str:
        """Value of WWW-Authenticate: one challenge, without qop (the form that every device understands).

        Args:
            now: Seconds of wall time (`Clock`), not of a monotonic clock, so that a nonce survives a restart.
            source: Host that the request came from; the nonce serves no other.
            stale: The client's nonce was the fault, not its password.
        """
        nonce = self._nonce(int(now), os.urandom(4), source)
        value = f'Digest realm="{self.realm}",nonce="{nonce}",algorithm={self._algorithm}'
        return value + ",stale=true" if stale else value

    def verify(
        self,
        authorization: str,
        *,
        method: str,
        uri: str,
        device_id: str,
        source: str,
        password: str | Sequence[str],
        now: float,
    ) -> Verification:
        """Decides about the value of an Authorization header; "" where the request has none.

        The literal text of username, uri, nc and cnonce is hashed (quirk Q19).

        Args:
            uri: The Request-URI; a client may have hashed another one, which only explains a failure.
            device_id: User part of From; the password is that of this device.
            password: The accepted password, or several of them.
            now: As for `challenge`.
        """
        scheme, _, rest = authorization.strip().partition(" ")
        if scheme.lower() != "digest":
            return Verification(Verdict.MISSING, f"no Digest credentials, but {scheme[:20]!r}" if scheme else "no credentials")
        if len(rest) > _MAX_CREDENTIALS:
            return Verification(Verdict.MISSING, f"credentials of {len(rest)} characters")
        fields = _parameters(rest)
        username, nonce, response = fields.get("username", ""), fields.get("nonce", ""), fields.get("response", "").lower()
        if not nonce or not response:
            return Verification(Verdict.MISSING, "credentials without nonce or response", username)
        issued = self._issued(nonce, source)
        if issued is None:
            return Verification(Verdict.STALE, "nonce is not of this server for this source", username)
        if not issued - 1 <= now <= issued + self._ttl_s:
            return Verification(Verdict.STALE, "nonce has expired", username)
        if wrong := self._unusable(fields):
            return Verification(Verdict.WRONG, wrong, username)
        counted = bool(fields.get("nc")) and bool(fields.get("cnonce")) and fields.get("qop", "").lower() == "auth"
        if not self._matches(fields, method, password, counted=counted):
            return Verification(Verdict.WRONG, _explain(fields, uri, device_id, password), username)
        if stale := self._use(nonce, issued, device_id, int(fields["nc"], 16) if counted else None, now):
            return Verification(Verdict.STALE, stale, username)
        differs = "" if username == device_id else f"username {username[:40]!r} is not the device id"
        return Verification(Verdict.OK, differs, username)

    def _unusable(self, fields: Mapping[str, str]) -> str:
        algorithm = fields.get("algorithm", "")
        if algorithm and algorithm.upper() != self._algorithm:
            return say("device.refused.algorithm", algorithm=algorithm[:20], offered=self._algorithm)
        if fields.get("realm", "") != self.realm:
            # Never hashed with the client's realm: a response made for another server would pass here.
            return say("device.refused.realm", realm=fields.get("realm", "")[:40], ours=self.realm)
        if fields.get("qop", "").lower() not in ("", "auth"):
            return say("device.refused.qop", qop=fields["qop"][:20])
        if fields.get("nc") and not _HEX8.fullmatch(fields["nc"]):
            return say("device.refused.nc", nc=fields["nc"][:20])
        return ""

    def _matches(self, fields: Mapping[str, str], method: str, password: str | Sequence[str], *, counted: bool) -> bool:
        """Every password is tried, whichever matched: time tells nothing."""
        given = _octets(fields["response"].lower())
        found = False
        for secret in [password] if isinstance(password, str) else password:
            expected = digest_response(
                self._algorithm,
                username=fields.get("username", ""),
                realm=self.realm,
                password=secret,
                method=method,
                uri=fields.get("uri", ""),
                nonce=fields["nonce"],
                counter=f"{fields['nc']}:{fields['cnonce']}:{fields['qop']}" if counted else "",
            )
            found |= hmac.compare_digest(expected.encode(), given)
        return found

    def _use(self, nonce: str, issued: int, device_id: str, nc: int | None, now: float) -> str:
        """Books a proven use; says why it is stale after all, "" where it is good."""
        use = self._uses.get(nonce)
        if use is None:
            if issued <= self._forgotten_at:
                return "nonce was forgotten under load"
            self._make_room(now)
            self._uses[nonce] = _Use(issued, device_id, nc or 0)
            return ""
        if use.device_id != device_id:
            return "nonce serves another device"
        if nc is not None:
            if nc <= use.nc:
                return f"nc {nc:08x} was used already"
            use.nc = nc
        return ""

    def _make_room(self, now: float) -> None:
        # Entries are in order of first use, nearly that of issue; each call looks at two, so that the work is spread.
        for _ in range(2):
            oldest = next(iter(self._uses), None)
            if oldest is None:
                return
            issued = self._uses[oldest].issued
            if len(self._uses) >= self._max_uses and issued + self._ttl_s >= now:
                self._forgotten_at = max(self._forgotten_at, issued)
            elif issued + self._ttl_s >= now:
                return
            del self._uses[oldest]

    def _nonce(self, issued: int, salt: bytes, source: str) -> str:
        prefix = _PREFIX.pack(issued & 0xFFFFFFFF, salt)
        mac = hmac.digest(self._key, prefix + _octets(source), "sha256")[:_MAC_BYTES]
        return (prefix + mac).hex()

    def _issued(self, nonce: str, source: str) -> int | None:
        if not _NONCE.fullmatch(nonce):
            return None
        issued, salt = _PREFIX.unpack_from(bytes.fromhex(nonce))
        if not hmac.compare_digest(self._nonce(issued, salt, source), nonce):
            return None
        return int(issued)


def _parameters(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for match in _PARAMETER.finditer(text):
        name, quoted, token = match.groups()
        value = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted) if "\\" in quoted else quoted
        fields.setdefault(name.lower(), value)
    return fields


def _explain(fields: Mapping[str, str], uri: str, device_id: str, password: str | Sequence[str]) -> str:
    if not password:
        return say("device.refused.no_password_here")
    seen: list[str] = [say("device.refused.password")]
    if fields.get("username", "") != device_id:
        seen.append(say("device.refused.username", username=fields.get("username", "")[:40], device_id=device_id))
    if fields.get("uri", "") != uri:
        seen.append(say("device.refused.uri", uri=fields.get("uri", "")[:80], request_uri=uri[:80]))
    # Username and uri are hashed as sent, so neither of them alone can fail; the password always differs.
    return together(seen)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
