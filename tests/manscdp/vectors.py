"""Byte fixtures of this folder's tests, and what is equal."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "vectors" / "manscdp"


def vector(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def whole_seconds(command: Any) -> Any:
    """A dateTime is written to the second: the rest of what was read is dropped."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if isinstance(value, datetime):
            changes[field.name] = value.replace(microsecond=0)
        elif isinstance(value, tuple):
            changes[field.name] = tuple(whole_seconds(part) if dataclasses.is_dataclass(part) else part for part in value)
    return dataclasses.replace(command, **changes)
