"""How the parts of the server are, for `/health` and the console."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gb28181 import __version__
from gb28181.api.services import Health, Part
from gb28181.control.edges import EdgeListener
from gb28181.control.ingests import IngestLinks
from gb28181.database.database import Database
from gb28181.messages import VolumeState
from gb28181.texts.text import say


def health(ingests: IngestLinks, edge: EdgeListener, database: Database, volumes: Sequence[VolumeState]) -> Health:
    parts = [Part("control", "running", os.getpid())]
    for link in ingests.links.values():
        state = "running" if link.is_up else "restarting"
        parts.append(Part(link.name, state, link.pid or None, "" if link.is_up else say("server.part_restarting")))
    parts.append(Part("edge", "running" if edge.pid else "restarting", edge.pid or None))
    stored = database.state()
    parts.append(Part("database", "failing" if stored.error else "running", None, stored.error or stored.where))
    for volume in volumes:
        state = "failed" if volume.error else "suspect" if volume.suspect else "running"
        parts.append(Part(f"volume {volume.volume}", state, None, volume.error))
    good = all(part.state == "running" for part in parts)
    return Health("ok" if good else "degraded", parts, __version__)
