"""What an ingest is started with: what it needs of the configuration, checked by `serve` and written as plain dataclasses.

An ingest loads no pydantic for it, which would be a quarter of its memory, and holds no password of the platform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Receiving:
    """The keys of `[media]` that an ingest reads; `conf/gb28181.toml` describes them."""

    host: str
    tick_ms: int
    watched_tick_ms: int
    receive_buffer_kib: int
    reorder_ms: int
    reorder_packets: int
    silence_s: float
    rtcp_interval_s: float
    port_quarantine_s: float
    orphan_s: float


@dataclass(frozen=True, slots=True)
class Writing:
    """The keys of `[recording]` that an ingest reads."""

    segment_seconds: float
    segment_max_seconds: float
    write_bytes: int
    write_seconds: float
    sync_seconds: float
    suspect_seconds: float
    stall_pool_mib: int
    hash: Literal["sha256", "none"]


@dataclass(frozen=True, slots=True)
class Logging:
    """The section `[log]`."""

    level: Literal["debug", "info", "warning", "error"]
    format: Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class IngestStart:
    """Args:
    instance: Id of this server, which owns the volumes.
    ports: First media port of this ingest, and the one behind its last.
    volumes: Absolute paths.
    writers: Names of all ingests; the first of them adopts what one that is not among them any more left open.
    """

    instance: str
    ports: tuple[int, int]
    volumes: tuple[str, ...]
    writers: tuple[str, ...]
    receiving: Receiving
    writing: Writing
    logging: Logging
