"""Keyset pages. A cursor is opaque and signed: it names the last row seen, and one that was made up is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import heapq
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from gb28181.errors import Invalid
from gb28181.texts.text import say

_MAC_BYTES: Final = 9
_LONGEST: Final = 1024

T = TypeVar("T")
K = TypeVar("K", bound=tuple[Any, ...])


class Cursors:
    """Makes and reads the cursors of one list.

    Args:
        key: Signs them; derived from the secret of the data folder, so that they outlive a restart.
        listing: Which list; a cursor of another one is refused.
    """

    def __init__(self, key: bytes, listing: str) -> None:
        self._key = hmac.new(key, b"cursor " + listing.encode(), hashlib.sha256).digest()

    def write(self, last: tuple[Any, ...]) -> str:
        body = json.dumps(last, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(body) + body).rstrip(b"=").decode()

    def read(self, cursor: str) -> tuple[Any, ...]:
        """Raises: Invalid: It was not made by `write` for this list."""
        try:
            raw = base64.urlsafe_b64decode(cursor[:_LONGEST] + "=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error):
            raw = b""
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not body or not hmac.compare_digest(mac, self._mac(body)):
            raise Invalid(say("http.cursor"))
        return tuple(json.loads(body))

    def page(self, rows: Iterable[T], *, key: Callable[[T], K], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
        """The `limit` rows after the cursor in the order of `key`, and the cursor of the next page."""
        if cursor is not None:
            after = self.read(cursor)
            rows = (row for row in rows if key(row) > after)
        page = heapq.nsmallest(limit + 1, rows, key=key)
        more = len(page) > limit
        page = page[:limit]
        return page, self.write(key(page[-1])) if more else None

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_MAC_BYTES]
