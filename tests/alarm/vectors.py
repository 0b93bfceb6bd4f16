"""Bodies of the messages of the standard (`tests/vectors/messages`), by their number."""

from __future__ import annotations

from pathlib import Path

MESSAGES = Path(__file__).parents[1] / "vectors" / "messages"


def body_of(number: int) -> bytes:
    """The body as it stands on the wire."""
    [path] = MESSAGES.glob(f"{number:03d}-*.sip")
    return path.read_bytes().partition(b"\r\n\r\n")[2]
