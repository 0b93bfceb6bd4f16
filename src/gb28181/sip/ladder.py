"""A ladder diagram of traced messages as SVG: two lines, an arrow a message, time beside it.

Only presentation attributes: the page that shows it allows no styles. What peers sent is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from gb28181.clock import rfc3339
from gb28181.sip.trace import TracedMessage

_WIDTH: Final = 860
_LEFT, _RIGHT = 250, 700
_TOP: Final = 64
_ROW: Final = 30
_INK, _FAINT, _BAD, _GOOD, _PAPER = "#1f2733", "#7a8699", "#c0392b", "#1e7e4f", "#ffffff"


def ladder(messages: Sequence[TracedMessage], *, platform: str, peer: str) -> str:
    """The diagram.

    Args:
        platform, peer: Captions of the two lines.
    """
    height = _TOP + _ROW * (len(messages) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        *(_column(x, caption, height) for x, caption in ((_LEFT, platform), (_RIGHT, peer))),
    ]
    before = messages[0].at_us if messages else 0
    for number, message in enumerate(messages):
        parts.append(_row(message, _TOP + _ROW * (number + 1), message.at_us - before))
        before = message.at_us
    return "\n".join([*parts, "</svg>"]) + "\n"


def _column(x: int, caption: str, height: int) -> str:
    return (
        f'<text x="{x}" y="30" text-anchor="middle" font-weight="bold">{escape(caption)}</text>'
        f'<line x1="{x}" y1="42" x2="{x}" y2="{height - 10}" stroke="{_FAINT}" stroke-dasharray="3 3"/>'
    )


def _row(message: TracedMessage, y: int, since_us: int) -> str:
    start, end = (_RIGHT, _LEFT) if message.is_inbound else (_LEFT, _RIGHT)
    tip = end + (8 if message.is_inbound else -8)
    colour = _BAD if message.status >= 400 and message.status not in (401, 407) else _GOOD if message.status >= 200 else _INK
    time = rfc3339(message.at_us)[11:23]
    return (
        f'<text x="12" y="{y + 4}" fill="{_FAINT}">{time} +{since_us / 1e6:.3f}</text>'
        f'<text x="{(_LEFT + _RIGHT) // 2}" y="{y - 5}" text-anchor="middle" fill="{colour}">{escape(message.summary())}</text>'
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="{colour}"/>'
        f'<path d="M{end} {y}L{tip} {y - 4}L{tip} {y + 4}z" fill="{colour}"/>'
        f'<text x="{_RIGHT + 12}" y="{y + 4}" fill="{_FAINT}">{escape(message.remote[:22])}</text>'
    )
