"""What the position feature receives."""

from __future__ import annotations

from gb28181.manscdp.commands.position import MobilePosition
from gb28181.manscdp.commands.ptz import PTZPositionNotify
from gb28181.position.service import PositionService
from gb28181.router import Routes


def routes(positions: PositionService) -> Routes:
    return {MobilePosition: positions.arrived, PTZPositionNotify: positions.looked}
