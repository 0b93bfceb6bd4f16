"""What the commands receive: Responses to what was asked, and two reports that come minutes later."""

from __future__ import annotations

from gb28181 import exchange
from gb28181.command.service import CommandService
from gb28181.exchange import Exchanges
from gb28181.manscdp.commands.card import SDCardStatusResponse
from gb28181.manscdp.commands.config import ConfigDownloadResponse, DeviceConfigResponse
from gb28181.manscdp.commands.control import DeviceControlResponse
from gb28181.manscdp.commands.notify import DeviceUpgradeResult, UploadSnapShotFinished
from gb28181.manscdp.commands.record import RecordInfoResponse
from gb28181.router import Routes


def routes(commands: CommandService, exchanges: Exchanges) -> Routes:
    return {
        **exchange.routes(
            exchanges,
            DeviceControlResponse,  # of every sub-command, PTZ's home position too
            DeviceConfigResponse,
            ConfigDownloadResponse,
            RecordInfoResponse,
            SDCardStatusResponse,
        ),
        UploadSnapShotFinished: commands.pictures_uploaded,
        DeviceUpgradeResult: commands.upgraded,
    }
