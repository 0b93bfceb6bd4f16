"""Who may use the console and the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["admin", "operator", "viewer"]


@dataclass(frozen=True, slots=True)
class User:
    """Args:
    password_hash: argon2id, encoded.
    """

    username: str
    password_hash: str = field(repr=False)
    role: Role
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes an API request."""

    username: str
    role: Role
