"""Kept inputs by target: the messages that the tests have, and what long runs found to take other ways through the code."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.manscdp.vectors import FOLDER as MANSCDP
from tests.sip.vectors import KEEPALIVE_XML, vectors

FOLDER = Path(__file__).parent / "corpus"
_WITH_HEADS = ("message", "endpoint", "stream")
_PTZ = ("A50F0108002000DD", "A50F010000000ABF", "A50F01810001003 7", "A50F018900020040")


def kept(target: str) -> list[bytes]:
    path = FOLDER / f"{target}.txt"
    return [base64.b64decode(line) for line in path.read_text().split()] if path.is_file() else []


def keep(target: str, inputs: Sequence[bytes]) -> None:
    """Replaces what is kept of a target: a line of base64 each."""
    if inputs:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{target}.txt").write_text("".join(base64.b64encode(data).decode() + "\n" for data in inputs))


def seeds(target: str) -> Iterator[bytes]:
    """Well-formed inputs to begin with."""
    yield b""
    messages = [vector.data for vector in vectors()]
    if target in _WITH_HEADS:
        yield from messages
    elif target == "ptz":
        yield from (code.encode() for code in _PTZ)
    elif target == "command":
        yield KEEPALIVE_XML
        yield from (path.read_bytes() for path in sorted(MANSCDP.rglob("*")) if path.is_file())
        yield from (body for body in map(_body, messages) if body.lstrip().startswith(b"<"))
    elif target in ("description", "rtsp"):
        yield from (body for body in map(_body, messages) if body and not body.lstrip().startswith(b"<"))
    elif target == "digest":
        yield b'Digest username="34020000001320000001",realm="3402000000",nonce="0",uri="sip:x",response="0",algorithm=MD5'


def _body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]
