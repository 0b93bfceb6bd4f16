"""What becomes of a REGISTER (§9.1, RFC 3261 §10.3): challenged, refused, accepted or ended.

Every REGISTER proves itself by digest, a renewal (quirk Q10) and a deregistration too. Who guesses passwords is slowed
by (device, source), so that nobody locks a camera out from elsewhere.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gb28181.clock import beijing
from gb28181.config import SipSettings
from gb28181.device.model import RegistrationRefused
from gb28181.ids import DeviceId, device_id
from gb28181.ports import SipRequest
from gb28181.sip.digest import DigestServer, Verdict
from gb28181.sip.headers import address_uri

MAX_EXPIRES_S: Final = 30 * 86400
_MAX_URI: Final = 255

_MAX_REFUSALS: Final = 200
_VERSION: Final = ("X-GB-Ver", "3.0")  # Annex I
_CONTACT_EXPIRES: Final = re.compile(r";\s*expires\s*=\s*\"?(\d{1,10})\b", re.IGNORECASE | re.ASCII)
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
class Challenge:
    """Answer 401.

    Args:
        reason: Why, when a wrong password and not its mere absence is the cause; "" otherwise.
    """

    header: str
    stale: bool = False
    reason: str = ""

    @property
    def status(self) -> int:
        return 401

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", self.header), _VERSION]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer 403, or 423 with `min_expires_s`."""

    status: int
    reason: str
    retry_after_s: int = 0
    min_expires_s: int = 0

    def headers(self) -> list[tuple[str, str]]:
        found = [_VERSION]
        if self.retry_after_s:
            found.append(("Retry-After", str(self.retry_after_s)))
        if self.min_expires_s:
            found.append(("Min-Expires", str(self.min_expires_s)))
        return found


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer 200; `expires_s` 0 means that the registration ended."""

    contact: str
    expires_s: int

    def headers(self, date: datetime | None) -> list[tuple[str, str]]:
        """Args:
        date: Now, for devices that set their clock by it (§9.10: Beijing time without a zone); None leaves it out.
        """
        found = [("Contact", f"<{self.contact}>;expires={self.expires_s}"), ("Expires", str(self.expires_s)), _VERSION]
        if date is not None:
            found.append(("Date", beijing(date, milliseconds=True)))
        return found


Decision = Challenge | Refuse | Accept


class WrongPasswords:
    """Counts failures of (device, source) and says how long such a pair has to wait.

    Args:
        max_pairs: The pair that failed longest ago is forgotten when there are more.
    """

    FREE: Final = 5
    LONGEST_WAIT_S: Final = 60.0
    DECAY_S: Final = 120.0  # a quiet time after which one failure is forgiven

    def __init__(self, *, max_pairs: int = 10_000) -> None:
        self._max_pairs = max_pairs
        self._pairs: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_s(self, pair: tuple[str, str], now: float) -> float:
        """Seconds in which no attempt of this pair is looked at, 0 for none."""
        count, last = self._pairs.get(pair, (0, now))
        if count <= self.FREE:
            return 0.0
        return max(0.0, last + min(2.0 ** (count - self.FREE - 1), self.LONGEST_WAIT_S) - now)

    def failed(self, pair: tuple[str, str], now: float) -> int:
        """Books a failure; how many there are now."""
        count, last = self._pairs.pop(pair, (0, now))
        count = max(0, count - int((now - last) / self.DECAY_S)) + 1
        self._pairs[pair] = (count, now)
        if len(self._pairs) > self._max_pairs:
            self._pairs.popitem(last=False)
        return count

    def succeeded(self, pair: tuple[str, str]) -> None:
        self._pairs.pop(pair, None)

    def __len__(self) -> int:
        return len(self._pairs)


class Refusals:
    """The last refused registrations, one per device and source host."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str], RegistrationRefused] = OrderedDict()

    def add(self, refused: RegistrationRefused, host: str) -> None:
        self.clear(refused.device_id, host)
        self._found[refused.device_id, host] = refused
        if len(self._found) > _MAX_REFUSALS:
            self._found.popitem(last=False)

    def clear(self, device_id: str, host: str) -> None:
        """The device has registered from there after all."""
        self._found.pop((device_id, host), None)

    def newest_first(self) -> list[RegistrationRefused]:
        return list(reversed(self._found.values()))


class Registrar:
    """Decides about one REGISTER at a time."""

    def __init__(self, settings: SipSettings, digest: DigestServer) -> None:
        self._settings = settings
        self._digest = digest
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

    def decide(self, register: Register, request: SipRequest, password: str, *, now: float, utc: float) -> Decision:
        """Args:
        password: The device's own or the domain's; "" refuses everybody.
        now: Monotonic seconds.
        utc: Seconds since 1970; nonces must survive a restart.
        """
        source = request.route.remote.host
        pair = (register.device_id, source)
        authorization = request.headers.get("authorization", "")
        if authorization and (wait := self._wrong.wait_s(pair, now)) > 0:
            return Refuse(403, "too many wrong passwords from this address", retry_after_s=int(wait) + 1)
        proof = self._digest.verify(
            authorization,
            method=request.method,
            uri=request.uri,
            device_id=register.device_id,
            source=source,
            password=password,
            now=utc,
        )
        if proof.verdict is Verdict.MISSING:
            return Challenge(self._digest.challenge(utc, source=source))
        if proof.verdict is Verdict.STALE:
            return Challenge(self._digest.challenge(utc, source=source, stale=True), stale=True)
        if not password:
            return Refuse(403, "no password is set: set sip.password, or give the device one of its own")
        if proof.verdict is Verdict.WRONG:
            if self._wrong.failed(pair, now) > self._settings.wrong_passwords_before_403:
                return Refuse(403, proof.reason)
            return Challenge(self._digest.challenge(utc, source=source), reason=proof.reason)
        self._wrong.succeeded(pair)
        if 0 < register.expires_s < self._settings.register_min_expires_s:
            reason = f"expires {register.expires_s} s is below the minimum of {self._settings.register_min_expires_s} s"
            return Refuse(423, reason, min_expires_s=self._settings.register_min_expires_s)
        return Accept(register.contact, register.expires_s)

    def _expires(self, contact: str, header: str) -> int:
        """Contact's parameter, then the header, then the default (W5, quirk Q16; RFC 3261 §10.3 step 7)."""
        found = _CONTACT_EXPIRES.search(contact) or _NUMBER.fullmatch(header)
        return min(int(found[1]), MAX_EXPIRES_S) if found else self._settings.register_expires_s
