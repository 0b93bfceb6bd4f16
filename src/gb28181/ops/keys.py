"""Secrets of the data folder: the key from which all others are derived, and the server's id."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gb28181.errors import StorageError
from gb28181.texts.text import reason_of, say

_KEY_BYTES: Final = 32
_INSTANCE: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Keys:
    """Args:
    secret: 32 random bytes; use `tokens.derive(secret, purpose)`, never the secret itself.
    instance: Random id of this server, 32 hex digits; written into its volumes too.
    """

    secret: bytes = field(repr=False)
    instance: str


def load_or_create(data: Path) -> Keys:
    """The secrets of a data folder, made at the first start; safe to call from several processes at once.

    Raises:
        StorageError: A file cannot be read or made, or holds something else.
    """
    secret = _load(data / "secret.key", secrets.token_bytes(_KEY_BYTES))
    if len(secret) != _KEY_BYTES:
        raise StorageError(say("start.secret_size", path=data / "secret.key", bytes=len(secret), expected=_KEY_BYTES))
    instance = _load(data / "instance", secrets.token_hex(16).encode()).decode("ascii", "replace").strip()
    if not _INSTANCE.fullmatch(instance):
        raise StorageError(say("start.instance", path=data / "instance"))
    return Keys(secret, instance)


def _load(path: Path, fresh: bytes) -> bytes:
    """What the file holds. A missing one is made whole and durable under another name first, then linked: whoever comes
    second at the same moment reads the first one's, and a power cut leaves no half of it."""
    try:
        if not path.exists():
            _create(path, fresh)
        return path.read_bytes()
    except OSError as error:
        raise StorageError(say("start.key_unusable", path=path, strerror=reason_of(error))) from None


def _create(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink()
