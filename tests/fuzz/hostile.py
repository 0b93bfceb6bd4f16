"""What a stranger may write where we expect an identifier, a time, a number or JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, quote_from_bytes

from hypothesis import strategies as st

NUMBERS = ["0", "-1", "1e999", "NaN", "9" * 400, "0x10", "1_000", " 7 ", "٣", "2147483648", "9223372036854775808", "1.5"]
TIMES = [
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    "2026-02-30T00:00:00Z", "2026-03-01", "2026-03-01T00:00:00", "2026-03-01T24:00:00Z", "now", "2026-W01-1T00:00:00Z",
    "2026-03-01T00:00:00Z", "2026-03-01T08:00:00 08:00", "-0001-01-01T00:00:00Z", "2026-03",
]  # fmt: skip
PATHS = [
    "..", ".", "../../secret.txt", "..\\secret.txt", "/etc/passwd", "%2e%2e", "a/../../b", "\0", "a\0.ps", "~", "C:\\", "con",
    ".gb28181-volume", ".open", "-rf", "*", "x" * 300, "\u202e", "👁", "é", "e\u0301", "' OR 1=1 --", "${jndi:ldap://x}", "{0}",
    "%s%n", "<script>", "\r\nSet-Cookie: a=b", "34020000001320000001", "3402000000132000000١",
]  # fmt: skip

words = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TIMES), st.sampled_from(PATHS), st.text(max_size=40))

#: One part of a path as it stands on the wire.
parts = st.one_of(
    words.map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe="")),
    st.binary(max_size=20).map(lambda raw: quote_from_bytes(raw, safe="")),
    st.sampled_from(["%2e%2e%2f", "%252e%252e", "..%5c", "%c0%ae%c0%ae", "%", "%zz", "%00", ";a=b", "a%2fb", "..;"]),
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth
