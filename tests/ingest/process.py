"""Runs a real ingest in a process of its own and talks to it over its socket, as control and edge do."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gb28181.config import Settings
from gb28181.control.paths import DataFolder
from gb28181.control.supervisor import ingest_start
from gb28181.frames import FrameReader, encode, from_json, to_json
from gb28181.ingest_start import IngestStart
from gb28181.messages import (
    Acknowledge,
    Attach,
    CloseReceiver,
    Done,
    MediaChunk,
    Message,
    OpenReceiver,
    ReceiverOpened,
    SegmentClosed,
    SetRecording,
    Snapshot,
    SnapshotRequest,
    StreamState,
)

T = TypeVar("T")

FOOTAGE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "ps" / "ipc-d1-h264.ps"

_RUN = """
import json, sys
from pathlib import Path
from gb28181.frames import from_json
from gb28181.ingest.app import main
from gb28181.ingest_start import IngestStart
a = json.loads(sys.argv[1])
sys.exit(main(from_json(IngestStart, a["start"]), data=Path(a["data"]), name="ingest-0", socket_path=Path(a["socket"])))
"""


class Client:
    """A blocking end of the ingest's socket."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + 20
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(str(path))
                break
            except OSError:
                self.sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.reader = FrameReader()
        self.inbox: list[Any] = []
        self.requests = 0

    def send(self, message: Message) -> None:
        self.sock.sendall(encode(message))

    def next(self, matches: Callable[[Any], bool], timeout_s: float = 20.0) -> Any:
        """The first message, old or new, that matches; it is taken out."""
        deadline = time.monotonic() + timeout_s
        while True:
            for place, message in enumerate(self.inbox):
                if matches(message):
                    return self.inbox.pop(place)
            self.sock.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.sock.recv(1 << 20)
            except TimeoutError:
                raise AssertionError(f"not heard in {timeout_s} s; heard {self.inbox[-5:]}") from None
            assert data, "the ingest closed the connection"
            self.inbox += self.reader.feed(data)

    def of(self, kind: type[T], timeout_s: float = 20.0, **fields: object) -> T:
        def matches(message: Any) -> bool:
            return isinstance(message, kind) and all(getattr(message, name) == value for name, value in fields.items())

        found: T = self.next(matches, timeout_s)
        return found

    # control's sentences

    def attach(self) -> Client:
        self.send(Attach(time.time_ns() // 1000))
        return self

    def open(self, stream_id: str, *, transport: Any = "udp", channel: str = "34020000001320000001") -> int:
        self.requests += 1
        self.send(OpenReceiver(self.requests, stream_id, "34020000001110000001", channel, transport, 200000001))
        return self.of(ReceiverOpened, request_id=self.requests).port

    def record(self, stream_id: str, recording: bool = True) -> None:
        self.send(SetRecording(stream_id, recording))

    def close_receiver(self, stream_id: str) -> None:
        self.requests += 1
        self.send(CloseReceiver(self.requests, stream_id))
        self.of(Done, request_id=self.requests)

    def state(self, stream_id: str) -> StreamState:
        self.requests += 1
        self.send(SnapshotRequest(self.requests))
        snapshot = self.of(Snapshot, request_id=self.requests)
        return next(stream for stream in snapshot.streams if stream.stream_id == stream_id)

    def until(self, stream_id: str, holds: Callable[[StreamState], bool], timeout_s: float = 20.0) -> StreamState:
        deadline = time.monotonic() + timeout_s
        while True:
            state = self.state(stream_id)
            if holds(state):
                return state
            assert time.monotonic() < deadline, state
            time.sleep(0.02)

    def acknowledge(self, segment: SegmentClosed) -> None:
        self.send(Acknowledge(segment.seq))

    def chunks(self, watch_id: int, size: int) -> bytes:
        """The next bytes of a watch."""
        out = bytearray()
        while len(out) < size:
            chunk = self.next(lambda message: isinstance(message, MediaChunk) and message.watch_id == watch_id)
            out += chunk.data
        return bytes(out)

    def close(self) -> None:
        self.sock.close()


class IngestProcess:
    """One ingest on a folder; may be killed and started again."""

    def __init__(self, folder: Path, ports: range, **settings: dict[str, Any]) -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.socket = Path(f"/tmp/gb-{os.getpid()}-{id(self)}.sock")
        recording = {"write_seconds": 0.2, "sync_seconds": 0.2, **settings.get("recording", {})}
        media = {"host": "127.0.0.1", "ingests": 1, **settings.get("media", {})}
        known = Settings.model_validate({"recording": {"volumes": [str(self.volume)], **recording}, "media": media})
        start = ingest_start(known, DataFolder.at(folder / "data"), "ingest-0", instance="test")
        self._arguments = {
            "start": to_json(dataclasses.replace(start, ports=(ports.start, ports.stop))).decode(),
            "data": str(folder / "data"),
            "socket": str(self.socket),
        }
        self._clients: list[Client] = []
        self.process: subprocess.Popen[bytes] | None = None

    def record_to(self, *volumes: Path) -> None:
        """From its next start on, in place of its one volume."""
        start = from_json(IngestStart, self._arguments["start"])
        self._arguments["start"] = to_json(dataclasses.replace(start, volumes=tuple(map(str, volumes)))).decode()

    def start(self) -> IngestProcess:
        self.process = subprocess.Popen([sys.executable, "-c", _RUN, json.dumps(self._arguments)])
        return self

    def client(self) -> Client:
        client = Client(self.socket)
        self._clients.append(client)
        return client

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)
        for left in (self.socket, self.socket.with_suffix(".pid")):
            left.unlink(missing_ok=True)

    def file(self, segment: SegmentClosed) -> Path:
        return Path(segment.volume) / f"{segment.path}.ps"
