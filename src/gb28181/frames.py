"""Messages of our processes as bytes, and back.

A frame is a 4-byte big-endian length and that many bytes: JSON of one message, or, with the top bit of the length set, one
`MediaChunk`.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from gb28181.errors import WireError
from gb28181.messages import KINDS, MediaChunk, Message
from gb28181.texts.text import Text, packed, unpacked

T = TypeVar("T")

MAX_FRAME: Final = 16 << 20
_BINARY: Final = 0x8000_0000
#: How a packed `Text` begins, as a string inside JSON.
_PACKED: Final = rb'"{\"text\":'
_LENGTH: Final = struct.Struct(">I")
_CHUNK: Final = struct.Struct(">IB3xQQ")


def encode(message: Message) -> bytes:
    """One frame of a message."""
    return _framed(to_json({"is": type(message).__name__, **_fields(message)}))


def encode_with(message: Message, name: str, parts: Sequence[bytes]) -> bytes:
    """One frame of a message whose field `name` is a list of `parts`, which are JSON already (`to_json`): a long list can be
    made bit by bit."""
    rest = to_json({"is": type(message).__name__, **{key: value for key, value in _fields(message).items() if key != name}})
    return _framed(b'%b,"%b":[%b]}' % (rest[:-1], name.encode(), b",".join(parts)))


def to_json(value: Any) -> bytes:
    """JSON of a message or a part of one."""
    return json.dumps(value, default=_fields, separators=(",", ":")).encode()


def from_json(kind: type[T], text: str | bytes) -> T:
    """The dataclass of which `to_json` made this.

    Raises:
        WireError: It is none.
    """
    try:
        built: T = _build(kind, json.loads(text), _holds_texts(text.encode() if isinstance(text, str) else text))
    except (ValueError, TypeError, AttributeError) as error:
        raise WireError(f"not a {kind.__name__} between our processes ({error})") from None
    return built


def _fields(message: Any) -> dict[str, Any]:
    fields = {name: getattr(message, name) for name in message.__slots__}
    for name, value in fields.items():
        if type(value) is Text:
            fields[name] = packed(value)
    return fields


def _framed(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body


def encode_chunk_header(watch_id: int, flags: int, offset: int, at: int, size: int) -> bytes:
    """Frame and chunk header; the `size` PS bytes follow, so that they need no copy."""
    return _LENGTH.pack(_BINARY | (_CHUNK.size + size)) + _CHUNK.pack(watch_id, flags, offset, at)


class FrameReader:
    """Cuts a byte stream into messages and chunks."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message | MediaChunk]:
        """Everything that is complete now.

        Raises:
            WireError: A frame that is too long or no known message; the connection is of no more use.
        """
        buffer = self._buffer
        buffer += data
        out: list[Message | MediaChunk] = []
        position = 0
        while len(buffer) - position >= 4:
            (length,) = _LENGTH.unpack_from(buffer, position)
            binary = length & _BINARY
            length &= ~_BINARY
            if length > MAX_FRAME:
                raise WireError(f"frame of {length} bytes between our processes, at most {MAX_FRAME} expected")
            end = position + 4 + length
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                body = bytes(view[position + 4 : end])
            out.append(_chunk(body) if binary else decode(body))
            position = end
        del buffer[:position]
        return out


def decode(body: bytes) -> Message:
    """The message of one frame's JSON."""
    try:
        data = json.loads(body)
        kind = KINDS[data.pop("is")]
        return _build(kind, data, _holds_texts(body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"not a message between our processes: {body[:80]!r} ({error})") from None


def _chunk(body: bytes) -> MediaChunk:
    if len(body) < _CHUNK.size:
        raise WireError(f"media chunk of {len(body)} bytes between our processes")
    watch_id, flags, offset, at = _CHUNK.unpack_from(body)
    return MediaChunk(watch_id, flags, offset, at, body[_CHUNK.size :])


def _holds_texts(body: bytes) -> bool:
    """Whether a packed `Text` is somewhere in this JSON: where there is none, no string has to be looked at."""
    return _PACKED in body


def _build(kind: type, data: dict[str, Any], has_texts: bool) -> Any:
    names, conversions = _plan(kind, has_texts)
    if not data.keys() <= names:  # of a newer version
        data = {name: value for name, value in data.items() if name in names}
    for name, convert in conversions:
        if name in data:
            data[name] = convert(data[name])
    return kind(**data)


@cache
def _plan(kind: type, has_texts: bool) -> tuple[frozenset[str], tuple[tuple[str, Callable[[Any], Any]], ...]]:
    """The fields of a message, and what makes values of those that JSON has no type for: made once, a message is made often."""
    hints = typing.get_type_hints(kind)
    conversions = ((name, _conversion(hint, has_texts)) for name, hint in hints.items())
    return frozenset(hints), tuple((name, convert) for name, convert in conversions if convert is not None)


def _conversion(hint: Any, has_texts: bool) -> Callable[[Any], Any] | None:
    if hint is str:
        return unpacked if has_texts else None
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return lambda value: _build(hint, value, has_texts)
    if typing.get_origin(hint) is not tuple:
        return None
    inner = typing.get_args(hint)
    if len(inner) == 2 and inner[1] is Ellipsis:
        each = _conversion(inner[0], has_texts)
        return tuple if each is None else lambda value: tuple(map(each, value))
    parts = [_conversion(part, has_texts) or _unchanged for part in inner]
    return lambda value: tuple(convert(item) for convert, item in zip(parts, value, strict=True))


def _unchanged(value: Any) -> Any:
    return value
