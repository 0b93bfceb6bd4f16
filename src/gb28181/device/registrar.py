"""What becomes of a REGISTER (§9.1, RFC 3261 §10.3): challenged, refused, sent elsewhere, accepted or ended.

Every REGISTER proves itself by digest, a renewal (quirk Q10) and a deregistration too. Who guesses passwords is slowed
by (device, source), so that nobody locks a camera out from elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gb28181.clock import beijing
from gb28181.config import SipSettings
from gb28181.device.model import StrangerReason
from gb28181.device.networks import is_within
from gb28181.device.wrong_passwords import WrongPasswords
from gb28181.ids import DeviceId, device_id
from gb28181.ports import SipRequest
from gb28181.sip.digest import Algorithm, DigestServer, Verdict
from gb28181.sip.headers import address_uri
from gb28181.texts.text import say

MAX_EXPIRES_S: Final = 30 * 86400
_MAX_URI: Final = 255

_VERSION: Final = ("X-GB-Ver", "3.0")  # Annex I
_CONTACT_EXPIRES: Final = re.compile(r";\s*expires\s*=\s*\"?(\d{1,10})\b", re.IGNORECASE | re.ASCII)
_SHA256: Final = re.compile(r"\balgorithm\s*=\s*\"?SHA-256\b(?!-)", re.IGNORECASE | re.ASCII)
_NUMBER: Final = re.compile(r"\s*(\d{1,10})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Register:
    """What a REGISTER asks for.

    Args:
        contact: URI where the device wants to be reached.
        expires_s: Seconds asked for; 0 ends the registration.
    """

    device_id: DeviceId
    contact: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms an identifier may register.

    Args:
        password: Its own or the domain's; "" admits nobody.
        is_known: It is a device of ours; any other is a stranger.
        is_welcome: A stranger that proves the domain's password becomes a device.
        networks: Where it must come from, all of them met; empty ones say nothing.
        redirect: URI of the server to which it is sent on, "" for none.
        digest: What it is challenged with; SHA-256 is offered beside MD5, never alone.
    """

    password: str
    is_known: bool = True
    is_welcome: bool = True
    networks: tuple[tuple[str, ...], ...] = ()
    redirect: str = ""
    digest: Algorithm = "MD5"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Answer 401.

    Args:
        challenges: Values of WWW-Authenticate, the strongest first (RFC 8760 §2.3).
        reason: Why, when a wrong password and not its mere absence is the cause; "" otherwise.
        stranger: Why it goes into quarantine, where it is no device of ours.
    """

    challenges: tuple[str, ...]
    stale: bool = False
    reason: str = ""
    stranger: StrangerReason | None = None

    @property
    def status(self) -> int:
        return 401

    def headers(self) -> list[tuple[str, str]]:
        return [*(("WWW-Authenticate", value) for value in self.challenges), _VERSION]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer 403, or 423 with `min_expires_s`; `stranger` as of a challenge."""

    status: int
    reason: str
    retry_after_s: int = 0
    min_expires_s: int = 0
    stranger: StrangerReason | None = None

    def headers(self) -> list[tuple[str, str]]:
        found = [_VERSION]
        if self.retry_after_s:
            found.append(("Retry-After", str(self.retry_after_s)))
        if self.min_expires_s:
            found.append(("Min-Expires", str(self.min_expires_s)))
        return found


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer 302: register with this server instead (2022 §9.1.2.3)."""

    uri: str
    expires_s: int

    @property
    def status(self) -> int:
        return 302

    def headers(self) -> list[tuple[str, str]]:
        return [("Contact", f"<{self.uri}>"), ("Expires", str(self.expires_s)), _VERSION]


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer 200; `expires_s` 0 means that the registration ended.

    Args:
        username: That of the digest where it is not the device's identifier (quirk Q22), else "".
    """

    contact: str
    expires_s: int
    username: str = ""

    def headers(self, date: datetime | None) -> list[tuple[str, str]]:
        """Args:
        date: Now, for devices that set their clock by it (§9.10: Beijing time without a zone); None leaves it out.
        """
        found = [("Contact", f"<{self.contact}>;expires={self.expires_s}"), ("Expires", str(self.expires_s)), _VERSION]
        if date is not None:
            found.append(("Date", beijing(date, milliseconds=True)))
        return found


Decision = Challenge | Refuse | Redirect | Accept


class Registrar:
    """Decides about one REGISTER at a time.

    Args:
        digest: Challenges with MD5, and verifies what answers that.
        strong: With SHA-256, for devices that are set to it (RFC 8760).
    """

    def __init__(self, settings: SipSettings, digest: DigestServer, strong: DigestServer) -> None:
        self._settings = settings
        self._digest = digest
        self._strong = strong
        self._wrong = WrongPasswords()

    def read(self, request: SipRequest) -> Register:
        """What the request asks for.

        Raises:
            WireError: From holds no identifier.
        """
        contact = request.headers.get("contact", "").strip()
        identifier = device_id(request.user)
        source = f"sip:{identifier}@{request.route.remote}"
        if contact == "*":
            return Register(identifier, source, 0)
        uri = address_uri(contact)[:_MAX_URI] or source
        return Register(identifier, uri, self._expires(contact, request.headers.get("expires", "")))

    def decide(self, register: Register, request: SipRequest, terms: Terms, *, now: float, utc: float) -> Decision:
        """Args:
        now: Monotonic seconds.
        utc: Seconds since 1970; nonces must survive a restart.
        """
        source = request.route.remote.host
        if (outside := next((some for some in terms.networks if not is_within(source, some)), None)) is not None:
            return Refuse(403, say("device.refused.network", source=source, networks=", ".join(outside)))
        pair = (register.device_id, source)
        authorization = request.headers.get("authorization", "")
        if authorization and (wait := self._wrong.wait_s(pair, now)) > 0:
            return Refuse(403, say("device.refused.too_often"), retry_after_s=int(wait) + 1)
        is_strong = terms.digest == "SHA-256" and _SHA256.search(authorization) is not None
        proof = (self._strong if is_strong else self._digest).verify(
            authorization,
            method=request.method,
            uri=request.uri,
            device_id=register.device_id,
            source=source,
            password=terms.password,
            now=utc,
        )
        if proof.verdict is Verdict.MISSING:
            return Challenge(self._challenges(terms, utc, source))
        if proof.verdict is Verdict.STALE:
            return Challenge(self._challenges(terms, utc, source, stale=True), stale=True)
        if not terms.password:
            reason = say("device.refused.no_password")
            return Refuse(403, reason, stranger=None if terms.is_known else "no-password")
        if proof.verdict is Verdict.WRONG:
            stranger: StrangerReason | None = None if terms.is_known else "wrong-password"
            if self._wrong.failed(pair, now) > self._settings.wrong_passwords_before_403:
                return Refuse(403, proof.reason, stranger=stranger)
            return Challenge(self._challenges(terms, utc, source), reason=proof.reason, stranger=stranger)
        self._wrong.succeeded(pair)
        return self._admit(register, terms, "" if proof.username == register.device_id else proof.username)

    def _admit(self, register: Register, terms: Terms, username: str) -> Decision:
        """What becomes of one that has proved itself."""
        if not (terms.is_known or terms.is_welcome):
            return Refuse(403, say("device.refused.quarantine"), stranger="unknown")
        if register.expires_s and terms.redirect:
            return Redirect(terms.redirect, self._settings.register_expires_s)
        if 0 < register.expires_s < self._settings.register_min_expires_s:
            reason = say("device.refused.expires", expires_s=register.expires_s, least=self._settings.register_min_expires_s)
            return Refuse(423, reason, min_expires_s=self._settings.register_min_expires_s)
        return Accept(register.contact, register.expires_s, username)

    def _challenges(self, terms: Terms, utc: float, source: str, *, stale: bool = False) -> tuple[str, ...]:
        """One line, and a second only for a device that is set to it: old firmware breaks at two."""
        plain = self._digest.challenge(utc, source=source, stale=stale)
        if terms.digest != "SHA-256":
            return (plain,)
        return (self._strong.challenge(utc, source=source, stale=stale), plain)

    def _expires(self, contact: str, header: str) -> int:
        """Contact's parameter, then the header, then the default (W5, quirk Q16; RFC 3261 §10.3 step 7)."""
        found = _CONTACT_EXPIRES.search(contact) or _NUMBER.fullmatch(header)
        return min(int(found[1]), MAX_EXPIRES_S) if found else self._settings.register_expires_s
