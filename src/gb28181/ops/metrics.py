"""Prometheus figures, read from the parts when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gb28181.messages import Statistics, StreamState
from gb28181.ops.loop_lag import LoopLag
from gb28181.ops.system import resident_bytes

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "gb28181_"

Reading = float | Mapping[str, float] | Mapping[tuple[str, str], float]
"""One value, or values by the label (or labels) of the figure."""


@dataclass(frozen=True, slots=True)
class _Figure:
    kind: Literal["gauge", "counter"]
    name: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[], Reading]


class Metrics(Collector):
    """The figures of one process.

    A label may name a process, a volume or a cause, never a device or a stream: tens of thousands of cameras would be that
    many rows in each scrape. Those figures are in the API.
    """

    def __init__(self) -> None:
        self._figures: list[_Figure] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *, labels: Sequence[str] = ()) -> None:
        self._figures.append(_Figure("gauge", _PREFIX + name, text, tuple(labels), read))

    def counter(self, name: str, text: str, read: Callable[[], Reading], *, labels: Sequence[str] = ()) -> None:
        """A figure that only rises; `_total` is added to its name."""
        self._figures.append(_Figure("counter", _PREFIX + name, text, tuple(labels), read))

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures:
            family = (GaugeMetricFamily if figure.kind == "gauge" else CounterMetricFamily)(
                figure.name, figure.text, labels=figure.labels
            )
            reading = figure.read()
            rows = reading.items() if isinstance(reading, Mapping) else [((), reading)]
            for labels, value in rows:
                family.add_metric([labels] if isinstance(labels, str) else list(labels), float(value))
            yield family

    def render(self) -> bytes:
        """The text format of Prometheus; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def add_process(metrics: Metrics, lag: LoopLag) -> None:
    """Figures of the process that answers."""
    metrics.gauge("loop_lag_seconds", "Delay of the event loop at the last measurement", lambda: lag.last_s)
    metrics.gauge("loop_lag_max_seconds", "Worst delay of the event loop since the last scrape", lag.take_max)
    metrics.counter("loop_late_seconds", "Sum of all delays of the event loop", lambda: lag.total_s)
    metrics.gauge("resident_memory_bytes", "Memory of control in RAM", resident_bytes)


def add_ingests(metrics: Metrics, statistics: Callable[[], Mapping[str, Statistics]]) -> None:
    """Figures of the ingests, their streams and volumes.

    Args:
        statistics: Newest `Statistics` of every ingest that runs, by its name.
    """

    def of_ingest(read: Callable[[Statistics], float]) -> Callable[[], Reading]:
        return lambda: {name: read(newest) for name, newest in statistics().items()}

    by_ingest = {"labels": ("ingest",)}
    metrics.counter("tick_late", "Ticks that began more than a period late", of_ingest(lambda s: s.tick_late), **by_ingest)
    metrics.gauge(
        "tick_late_max_seconds", "Worst lateness of a tick lately", of_ingest(lambda s: s.tick_late_max_ms / 1000), **by_ingest
    )
    metrics.counter("ingest_cpu_seconds", "CPU time of an ingest", of_ingest(lambda s: s.cpu_s), **by_ingest)
    metrics.gauge("ingest_memory_bytes", "Memory of an ingest in RAM", of_ingest(lambda s: s.rss_bytes), **by_ingest)
    metrics.gauge("ingest_ports_free", "Free media ports of an ingest", of_ingest(lambda s: s.ports_free), **by_ingest)
    metrics.gauge("streams", "Streams that are open", of_ingest(lambda s: len(s.streams)), **by_ingest)
    metrics.gauge(
        "streams_recording",
        "Streams that are written to disk",
        of_ingest(lambda s: sum(t.recording for t in s.streams)),
        **by_ingest,
    )
    metrics.gauge(
        "streams_watched", "Streams with viewers", of_ingest(lambda s: sum(t.watched for t in s.streams)), **by_ingest
    )
    metrics.gauge(
        "media_kbps", "Media that arrives, kbit/s", of_ingest(lambda s: sum(t.bitrate_kbps for t in s.streams)), **by_ingest
    )
    totals = StreamTotals(statistics)
    for field, text in _TOTALS.items():
        metrics.counter(f"media_{field}", text, totals.reading(field), **by_ingest)
    _add_volumes(metrics, statistics)


def _add_volumes(metrics: Metrics, statistics: Callable[[], Mapping[str, Statistics]]) -> None:
    def of_volume(field: str) -> Callable[[], Reading]:
        return lambda: {
            (name, volume.volume): float(getattr(volume, field))
            for name, newest in statistics().items()
            for volume in newest.volumes
        }

    labels = ("ingest", "volume")
    metrics.gauge("volume_total_bytes", "Size of a recording volume", of_volume("total_bytes"), labels=labels)
    metrics.gauge("volume_free_bytes", "Free space of a recording volume", of_volume("free_bytes"), labels=labels)
    metrics.gauge("volume_pending_bytes", "Bytes that wait for a volume's writer", of_volume("pending_bytes"), labels=labels)
    metrics.gauge("volume_suspect", "1 while a volume does not answer in time", of_volume("suspect"), labels=labels)


_TOTALS: Final = {
    "packets": "RTP packets received",
    "bytes": "Payload bytes received",
    "lost": "RTP packets lost",
    "late": "RTP packets that came after their place was given up",
    "reordered": "RTP packets that came out of order and were put right",
    "duplicate": "RTP packets that came twice",
    "foreign": "Datagrams that were no RTP of the stream",
}


class StreamTotals:
    """Sums over streams that only rise, although streams come and go: what each gained since it was last looked at."""

    def __init__(self, statistics: Callable[[], Mapping[str, Statistics]]) -> None:
        self._statistics = statistics
        self._seen: dict[str, dict[str, StreamState]] = {}
        self._totals: dict[str, dict[str, float]] = {}

    def reading(self, field: str) -> Callable[[], Reading]:
        def read() -> Reading:
            self._advance()
            return {name: totals[field] for name, totals in self._totals.items()}

        return read

    def _advance(self) -> None:
        for name, newest in self._statistics().items():
            totals = self._totals.setdefault(name, dict.fromkeys(_TOTALS, 0.0))
            seen = self._seen.get(name, {})
            for stream in newest.streams:
                before = seen.get(stream.stream_id)
                for field in _TOTALS:
                    now = getattr(stream, field)
                    was = getattr(before, field) if before is not None else 0
                    totals[field] += now - was if now >= was else now  # an ingest that began anew counts from 0
            self._seen[name] = {stream.stream_id: stream for stream in newest.streams}
