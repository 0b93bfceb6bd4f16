"""Everything this package raises on purpose.

A fault of the peer and a bug of our own caller are different types: a parser raises `WireError` or returns.
"""

from __future__ import annotations

from typing import Literal

from gb28181.texts.text import say


class Gb28181Error(Exception):
    """Base of everything this package raises on purpose.

    What a person may read is raised with a `texts.text.Text`, and `str` gives that back, in whatever language it will be told.
    """

    def __str__(self) -> str:
        first = self.args[0] if self.args else ""
        return first if isinstance(first, str) else super().__str__()


class WireError(Gb28181Error):
    """The peer sent something we cannot accept.

    Args:
        reason: What was seen and what was expected, in one sentence; safe to log and to show.
        status: SIP status code to answer with, where an answer is due.
        clause: Clause of the standard or RFC that was violated, "" where none applies.
    """

    def __init__(self, reason: str, *, status: int = 400, clause: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.clause = clause


class SipSyntaxError(WireError):
    """Bytes that are no SIP message (RFC 3261 §7)."""


class MediaRefused(WireError):
    """The peer cannot serve the media we asked for (488 / 486, Annex G)."""


class SubscriptionRefused(WireError):
    """A final answer of 300 or more to SUBSCRIBE; `status` 481 in a dialog means that the subscription is gone.

    Args:
        retry_after_s: Pause that the peer asks for, 0 when it says none.
        min_expires_s: With 423: the shortest life that it grants, 0 when it says none.
    """

    def __init__(self, reason: str, *, status: int, retry_after_s: int = 0, min_expires_s: int = 0) -> None:
        super().__init__(reason, status=status, clause="RFC 6665 §4.1.2")
        self.retry_after_s = retry_after_s
        self.min_expires_s = min_expires_s


class PeerTimeout(Gb28181Error):
    """A transaction or an SN was never answered."""


class Unreachable(Gb28181Error):
    """There is no way to the peer: offline, no route, connection refused or lost."""


class NotFound(Gb28181Error):
    """No such device, channel, session or file (API 404)."""


class Conflict(Gb28181Error):
    """The request contradicts the present state (API 409)."""


class NotInEdition(Conflict):
    """The device speaks an edition of the standard that has no such command (API 409, code `edition`)."""


class Invalid(Gb28181Error):
    """A value from an operator or a configuration file cannot be used (API 400)."""


class Denied(Gb28181Error):
    """Who asks has not proved who it is (API 401) or may not do it (API 403).

    Args:
        authenticated: Whether the caller is known; decides between 403 and 401.
    """

    def __init__(self, reason: str, *, authenticated: bool = False) -> None:
        super().__init__(reason)
        self.authenticated = authenticated


class Unavailable(Gb28181Error):
    """A part of the server cannot serve now: overloaded, starting, disk full (API 503)."""


class Unsupported(Gb28181Error):
    """This server cannot do what was asked, and says what can be done instead (API 501)."""


class NoPicture(Gb28181Error):
    """A stream could not be opened; says how far it came.

    Args:
        message: What was seen, what was expected and what to do.
        stage: Last stage reached, one of `session.model.Stage`.
        detail: Facts for the operator: SIP status, seconds waited, addresses.
    """

    def __init__(self, message: str, *, stage: str, detail: dict[str, str | int | float] | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.detail = detail or {}


CommandStage = Literal["not_sent", "no_sip_answer", "sip_status", "no_response", "result_error"]


class CommandFailed(Gb28181Error):
    """A device did not do, or did not tell, what it was asked for; says how far the command came.

    Args:
        command: CmdType, and of a control its sub-command: `DeviceControl PTZCmd`.
        text: What was seen; the message puts device and command before it.
        stage: `not_sent`: no way to the device. `no_sip_answer`: silence. `sip_status`: the MESSAGE was refused.
            `no_response`: accepted, and its Response never came. `result_error`: the Response says ERROR.
        detail: Facts for the operator: SIP status, seconds waited.
    """

    def __init__(
        self,
        text: str,
        *,
        device_id: str,
        command: str,
        stage: CommandStage,
        detail: dict[str, str | int | float] | None = None,
    ) -> None:
        super().__init__(say("command.failed", command=command, device_id=device_id, said=text))
        self.device_id = device_id
        self.command = command
        self.stage: CommandStage = stage
        self.detail = detail or {}


class StorageError(Gb28181Error):
    """A recording volume or file cannot be used."""


class MisuseError(Gb28181Error):
    """Our own caller's bug; never sent to a peer."""
