"""What `/metrics` tells of the control process: one row for each part that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gb28181.control.ingests import IngestLinks
from gb28181.messages import Statistics
from gb28181.ops.metrics import Metrics, add_ingests, add_process

if TYPE_CHECKING:
    from gb28181.control.app import Control


def figures(control: Control, volumes: Sequence[Path]) -> Metrics:
    """All of them, read when somebody asks.

    Args:
        volumes: Root folders in the order of the configuration; they are told by number, because `/metrics` needs no login.
    """
    metrics = Metrics()
    add_process(metrics, control.lag)
    add_ingests(metrics, lambda: _statistics(control.ingests, volumes))
    metrics.gauge("devices", "Devices known", lambda: control.devices.gauges()["known"])
    metrics.gauge("devices_online", "Devices online", lambda: control.devices.gauges()["online"])
    metrics.gauge("viewers", "Viewers of live pictures", lambda: control.edge.total)
    metrics.gauge(
        "recording_channels",
        "Channels that ought to be recorded, and those that are",
        lambda: {name: float(count) for name, count in control.recordings.counts().items()},
        labels=("state",),
    )
    for name, text, read in (
        ("sip_events", "SIP messages, retransmissions, refusals by kind", control.sip.metrics),
        ("device_events", "Registrations, keepalives and refusals by kind", control.devices.counters),
        ("catalog_events", "Catalogue queries and answers by kind", control.catalog.counters),
        ("exchange_events", "Commands sent, repeated, failed by stage", control.exchanges.counters),
        ("ptz_events", "Movements and stops of cameras by kind and cause", control.ptz.counters),
        ("router_events", "Requests by outcome", control.router.counters),
        ("session_events", "Streams opened, failed, adopted, ended", control.sessions.counters),
        ("media_status_events", "MediaStatus by outcome", control.media_statuses.counters),
        ("recording_events", "Segments, bytes, attempts, failures", control.recordings.counters),
        ("retention_events", "Segments and bytes deleted", control.retention.counters),
        ("inventory_events", "Segments on disk that the database did not know", control.inventory.counters),
        ("command_events", "Orders to devices by kind and state", control.commands.counters),
        ("alarm_events", "Alarms received, raised, dropped, acknowledged; copies and resets", control.alarms.counters),
        ("position_events", "Positions received, discarded, refused", control.positions.counters),
        ("subscription_events", "SUBSCRIBE and NOTIFY by outcome", control.subscriptions.counters),
        ("upkeep_events", "Old rows deleted", control.upkeep.counters),
    ):
        metrics.counter(name, text, _floats(read), labels=("event",))
    for name, text, read in (
        ("sip_now", "SIP transactions, connections and callers that wait now", control.sip.gauges),
        ("devices_now", "Devices by state: not heard since the start, kept open through a NAT", control.devices.gauges),
        ("exchange_now", "Commands that wait for a Response now", control.exchanges.gauges),
        ("subscriptions_now", "Subscriptions by state, and requests under way", control.subscriptions.gauges),
        ("positions_now", "Channels whose position is known", control.positions.gauges),
        ("ptz_now", "Cameras that move, and that are held, now", control.ptz.gauges),
        ("catalog_now", "Channels listed and catalogue queries that run now", control.catalog.gauges),
    ):
        metrics.gauge(name, text, _floats(read), labels=("state",))
    return metrics


def _statistics(ingests: IngestLinks, volumes: Sequence[Path]) -> dict[str, Statistics]:
    """The newest figures of every ingest."""
    numbers = {str(volume): str(number) for number, volume in enumerate(volumes)}
    return {
        name: replace(newest, volumes=tuple(replace(each, volume=numbers.get(each.volume, "?")) for each in newest.volumes))
        for name, link in ingests.links.items()
        if (newest := link.statistics) is not None
    }


def _floats(read: Callable[[], Mapping[str, float]]) -> Callable[[], Mapping[str, float]]:
    return lambda: {name: float(value) for name, value in read().items()}
