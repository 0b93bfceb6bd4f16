"""Logs: one event per line, as text or JSON, with its facts and without secrets.

`logger.info("device online", extra={"device_id": …})` becomes
`2026-03-01T00:00:00.000Z INFO control gb28181.device.service: device online device_id=34020000001110000001`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TextIO

MASK: Final = "***"

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_NAME: Final = re.compile(r"passw|pwd|secret|authori[sz]ation|token|nonce|credential|api_?key", re.IGNORECASE)
#: `password=x`, `"token": "x"`, `nonce="x"`, `?token=x`, `Authorization: Digest …` inside a text. A header's value reaches
#: to the end of its line, any other value to the next separator. Some links of media carry their token in the path.
_SECRET_TEXT: Final = re.compile(
    r"""(?ix)
    (?: \b (authorization|www-authenticate|proxy-authenticate) (\s*:\s*) [^\r\n]+ )
    | (?: (["']? [\w-]* (?:passw(?:or)?d|pwd|secret|token|nonce|credential) [\w-]* ["']? \s* [=:] \s*)
          (?: "[^"]*" | '[^']*' | [^\s"',;&)}\]]+ ) )
    | (?: (\bresponse\s*=\s*) "[^"]*" )
    | (?: (\bbearer\s+) [\w.~+/=-]+ )
    | (?: (://[^\s:/@]*:) [^\s@/]+ (?=@) )
    | (?: (/media/(?:upload|firmware|hls|exports)/) [^\s"'<>?]+ )
    | (?: (<[\w.:-]{0,40}(?:passw(?:or)?d|pwd|secret)[\w.-]{0,40}(?:\s[^<>]{0,400})?>) [^<]+ )
    """
)
#: A text without any of these has nothing to mask; looking for them costs a tenth of the search above.
_HINTS: Final = (
    "pass",
    "pwd",
    "secret",
    "token",
    "nonce",
    "credential",
    "authori",
    "authenticate",
    "response",
    "bearer",
    "://",
    "/media/",
)
_LONGEST: Final = 8000
_BURST: Final = 500
_PER_S: Final = 20.0


def mask(text: str) -> str:
    """The text without the values of passwords, tokens and digest parameters."""
    lower = text.lower()
    return _SECRET_TEXT.sub(_masked, text) if any(hint in lower for hint in _HINTS) else text


def _masked(found: re.Match[str]) -> str:
    header, colon, *names = found.groups()
    return f"{header}{colon}{MASK}" if header else "".join(name or "" for name in names) + MASK


class Style(Protocol):
    """What is set about logs: the section `[log]`, here and in an ingest."""

    @property
    def level(self) -> str: ...

    @property
    def format(self) -> str: ...


class Masking(logging.Filter):
    """Masks message, extras and traceback of every record, whoever logs it."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = f"{record.msg} {record.args}"
        record.msg, record.args = mask(message), None
        for name, value in _extras(record).items():
            setattr(record, name, MASK if _SECRET_NAME.search(name) else _clean(value))
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        return True


class Flood(logging.Filter):
    """Lets a line of the code log so often and no more: what peers do is logged, and a peer must not fill the disk.

    Args:
        burst, per_s: Records of one line at once, and in a second on end.
    """

    def __init__(self, *, burst: int = _BURST, per_s: float = _PER_S) -> None:
        super().__init__()
        self._burst, self._per_s = float(burst), per_s
        self._lines: dict[tuple[str, int], tuple[float, float, int]] = {}  # as many as there are calls in the code

    def filter(self, record: logging.LogRecord) -> bool:
        line = (record.name, record.lineno)
        left, at, lost = self._lines.get(line, (self._burst, record.created, 0))
        left = min(self._burst, left + max(0.0, record.created - at) * self._per_s)
        if left < 1:
            self._lines[line] = (left, record.created, lost + 1)
            return False
        self._lines[line] = (left - 1, record.created, 0)
        if lost:
            record.left_out = lost
        return True


class TextFormatter(logging.Formatter):
    """For people and journald: time, level, process, logger, message, `key=value` facts; a traceback follows, indented."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_fact(value)}" for name, value in _extras(record).items())
        line = f"{_time(record)} {record.levelname} {self._process} {record.name}: {_one_line(record.getMessage())}{facts}"
        if record.exc_text:
            line += "\n    " + record.exc_text.replace("\n", "\n    ")
        return line


class JsonFormatter(logging.Formatter):
    """For log collectors: one JSON object per line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST],
            **_extras(record),
        }
        if record.exc_text:
            entry["traceback"] = record.exc_text
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure(settings: Style, process: str, *, stream: TextIO | None = None) -> None:
    """Sends every log of this process to `stream` (stderr), replacing what was set up before.

    Args:
        process: Its name in each line: `serve`, `control`, `ingest-0`, `edge`.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(Flood())
    handler.addFilter(Masking())
    handler.setFormatter(JsonFormatter(process) if settings.format == "json" else TextFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("aiosqlite", "sqlalchemy", "alembic", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: MASK if _SECRET_NAME.search(str(key)) else _clean(inner) for key, inner in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask(str(value))


def _fact(value: Any) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or "=" in text or '"' in text else text


def _one_line(text: str) -> str:
    """A peer's text may hold line breaks that would forge an event, or escape sequences for a terminal."""
    if text.isprintable():
        return text[:_LONGEST]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_LONGEST])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
