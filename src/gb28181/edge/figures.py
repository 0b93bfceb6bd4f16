"""The edge's own figures at `/metrics/edge`, in the text form that Prometheus reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gb28181.edge.door import Door
from gb28181.edge.hub import Hub
from gb28181.edge.ingests import IngestClient

_PERIOD_S: Final = 0.5
_ENDED: Final = {
    "displaced": "Waiting connections closed for a new one",
    "full": "Connections refused because all were busy",
    "late": "Connections closed because no request came in time",
}


class Figures(Collector):
    """Collects when asked; only the loop's lag is measured all the time."""

    def __init__(self, hub: Hub, ingests: Sequence[IngestClient], door: Callable[[], Door]) -> None:
        self._hub = hub
        self._door = door
        self._ingests = ingests
        self._lag_max_s = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/metrics/edge", self.serve)

    async def run(self) -> None:
        """Measures how late the event loop is; the worst since the last look is what counts."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._lag_max_s = max(self._lag_max_s, loop.time() - due)

    async def serve(self, request: web.Request) -> web.Response:
        body = generate_latest(self._registry)
        self._lag_max_s = 0.0
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def collect(self) -> list[Metric]:
        hub, door = self._hub, self._door()
        channels = hub.channels
        lag = max((channel.lag_ms for channel in channels), default=0.0) / 1000
        return [
            GaugeMetricFamily("gb28181_edge_viewers", "Viewers connected or waiting for a picture", hub.viewers),
            GaugeMetricFamily("gb28181_edge_channels", "Channels demuxed now", len(channels)),
            GaugeMetricFamily("gb28181_edge_muxers", "Formats muxed now", sum(len(channel.feeds) for channel in channels)),
            CounterMetricFamily("gb28181_edge_joins", "Viewers since the start", hub.joined),
            CounterMetricFamily("gb28181_edge_sent_bytes", "Bytes handed to viewers' connections", hub.sent),
            CounterMetricFamily("gb28181_edge_skips", "Times that a slow viewer was set back to a key frame", hub.skips),
            GaugeMetricFamily("gb28181_edge_media_lag_seconds", "Worst age of the newest media of a channel on arrival", lag),
            GaugeMetricFamily(
                "gb28181_edge_loop_lag_seconds", "Worst lateness of the event loop since last asked", self._lag_max_s
            ),
            GaugeMetricFamily(
                "gb28181_edge_ingests", "Ingests connected", sum(client.connected.is_set() for client in self._ingests)
            ),
            GaugeMetricFamily("gb28181_edge_connections", "Connections that stand", door.connections),
            GaugeMetricFamily("gb28181_edge_connections_waiting", "Connections without a request", door.waiting),
            *(
                CounterMetricFamily(f"gb28181_edge_connections_{name}", text, door.counters[name])
                for name, text in _ENDED.items()
            ),
            CounterMetricFamily("gb28181_edge_cpu_seconds", "CPU seconds of the edge process", time.process_time()),
        ]
