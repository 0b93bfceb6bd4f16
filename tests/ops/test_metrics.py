from __future__ import annotations

import asyncio
import resource
import time

from gb28181.messages import Statistics, StreamState, VolumeState
from gb28181.ops.loop_lag import LoopLag
from gb28181.ops.metrics import Metrics, add_ingests, add_process
from gb28181.ops.system import raise_file_limit, resident_bytes


def stream(stream_id: str, lost: int, **more: object) -> StreamState:
    return StreamState(stream_id, "d", "c", "udp", 20000, lost=lost, **more)


def statistics(*streams: StreamState) -> Statistics:
    return Statistics(1, 3, 12.5, 1.5, 40 << 20, 100, (VolumeState("/v", 100, 50, 7, True),), streams)


def test_figures_are_read_when_asked():
    metrics = Metrics()
    values = {"udp": 1.0}
    metrics.counter("registrations", "REGISTERs", lambda: values, labels=("transport",))
    metrics.gauge("viewers", "Viewers", lambda: 7)
    values["tcp"] = 2
    text = metrics.render().decode()
    assert 'gb28181_registrations_total{transport="tcp"} 2.0' in text
    assert "gb28181_viewers 7.0" in text
    assert "# HELP gb28181_viewers Viewers" in text


def test_ingests_streams_and_volumes_are_shown():
    metrics = Metrics()
    add_ingests(metrics, lambda: {"ingest-0": statistics(stream("a", 5, recording=True), stream("b", 1))})
    text = metrics.render().decode()
    for line in (
        'gb28181_tick_late_total{ingest="ingest-0"} 3.0',
        'gb28181_tick_late_max_seconds{ingest="ingest-0"} 0.0125',
        'gb28181_streams{ingest="ingest-0"} 2.0',
        'gb28181_streams_recording{ingest="ingest-0"} 1.0',
        'gb28181_media_lost_total{ingest="ingest-0"} 6.0',
        'gb28181_volume_free_bytes{ingest="ingest-0",volume="/v"} 50.0',
        'gb28181_volume_suspect{ingest="ingest-0",volume="/v"} 1.0',
    ):
        assert line in text


def test_losses_never_fall_when_streams_end():
    metrics = Metrics()
    now = {"ingest-0": statistics(stream("a", 5), stream("b", 2))}
    add_ingests(metrics, lambda: now)
    metrics.render()
    now["ingest-0"] = statistics(stream("b", 3), stream("c", 4))
    assert 'gb28181_media_lost_total{ingest="ingest-0"} 12.0' in metrics.render().decode()
    now["ingest-0"] = statistics(stream("b", 1))  # counts anew
    assert 'gb28181_media_lost_total{ingest="ingest-0"} 13.0' in metrics.render().decode()


async def test_blocked_loop_shows_as_lag():
    metrics = Metrics()
    with LoopLag(period_s=0.001) as lag:
        add_process(metrics, lag)
        await asyncio.sleep(0.005)
        time.sleep(0.05)  # the fault that is measured
        deadline = asyncio.get_running_loop().time() + 5
        while lag.max_s < 0.03 and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.001)
        assert lag.max_s >= 0.03
        assert "gb28181_resident_memory_bytes" in metrics.render().decode()
        assert lag.total_s >= 0.03
    assert lag.take_max() >= 0


def test_file_limit_is_raised_as_far_as_allowed():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_file_limit(64) >= 64 or soft < 64
    assert raise_file_limit(soft) == soft
    assert resident_bytes() > 1 << 20
