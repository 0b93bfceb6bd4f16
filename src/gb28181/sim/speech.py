"""How one device writes: its edition and its dialects, applied in one place each."""

from __future__ import annotations

from gb28181.sim.catalog import Item
from gb28181.sim.dialects.dialect import Dialect, Trait
from gb28181.sim.edition import Edition


class Speech:
    """Applies what a device's dialects change, in their order."""

    def __init__(self, edition: Edition, dialects: tuple[Dialect, ...]) -> None:
        self.edition = edition
        self._dialects = dialects
        self._traits = frozenset(trait for dialect in dialects for trait in dialect.traits)
        charsets = [dialect.charset for dialect in dialects if dialect.charset is not None]
        self._label, self._codec = charsets[-1] if charsets else (edition.label, "gb18030")
        types = [dialect.payload_type for dialect in dialects if dialect.payload_type is not None]
        self.payload_type = types[-1] if types else None

    def does(self, trait: Trait) -> bool:
        """Whether one of the dialects behaves so."""
        return trait in self._traits

    def body(self, text: str) -> bytes:
        """A document encoded."""
        for dialect in self._dialects:
            if dialect.text is not None:
                text = dialect.text(text)
        declaration = f'<?xml version="1.0" encoding="{self._label}"?>\r\n' if self._label else ""
        return (declaration + text).encode(self._codec)

    def message(self, data: bytes) -> bytes:
        """A whole SIP message as it leaves."""
        for dialect in self._dialects:
            if dialect.message is not None:
                data = dialect.message(data)
        return data

    def items(self, items: list[Item], device_id: str) -> list[Item]:
        """The catalogue as it is told."""
        for dialect in self._dialects:
            if dialect.items is not None:
                items = dialect.items(items, device_id)
        return items

    def total(self, total: int) -> int:
        """SumNum as it is told."""
        for dialect in self._dialects:
            if dialect.total is not None:
                total = dialect.total(total)
        return total

    def sdp(self, body: bytes) -> bytes:
        """The answer to an offer as it is told."""
        text = body.decode()
        for dialect in self._dialects:
            if dialect.sdp is not None:
                text = dialect.sdp(text)
        return text.encode()
