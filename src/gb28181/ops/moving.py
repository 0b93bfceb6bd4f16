"""Which cameras we set in motion, in a file: who comes after us stops them when we were killed."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from gb28181.catalog.model import ChannelKey
from gb28181.errors import WireError
from gb28181.ids import device_id

logger = logging.getLogger(__name__)


class MovingFile:
    """Implements `ports.MovingNotes`.

    The file is written at once and never synced: it has to outlive this process, not the machine, and costs a page of memory.
    One that cannot be written or read is told in the log; no camera waits for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, keys: Sequence[ChannelKey]) -> None:
        waiting = self._path.with_suffix(".part")
        try:
            waiting.write_text(json.dumps([[key.device_id, key.channel_id] for key in keys]))
            waiting.replace(self._path)
        except OSError as error:
            logger.warning("moving cameras are not noted: %s", error, extra={"path": str(self._path)})

    def load(self) -> list[ChannelKey]:
        try:
            rows = json.loads(self._path.read_text())
            return [ChannelKey(device_id(str(device)), device_id(str(channel))) for device, channel in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, WireError) as error:
            logger.warning("cannot read which cameras moved: %s", error, extra={"path": str(self._path)})
            return []
