"""What the PTZ feature receives: the answers to its queries."""

from __future__ import annotations

from gb28181.exchange import Exchanges
from gb28181.exchange import routes as answers
from gb28181.ptz.memory import ANSWERS
from gb28181.router import Routes


def routes(exchanges: Exchanges) -> Routes:
    return answers(exchanges, *ANSWERS)
