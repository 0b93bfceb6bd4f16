"""The world of the edge's tests: a real edge between a real ingest socket and real control sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gb28181.config import Settings
from gb28181.edge.app import Edge
from tests.edge.world import KEY, Control, Ingest, World


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    stack = contextlib.AsyncExitStack()

    async def make(
        *,
        control: bool = True,
        ingest: bool = True,
        api: web.Application | None = None,
        command: dict[str, object] | None = None,
        **http: object,
    ) -> World:
        run = tmp_path / "run"
        run.mkdir(exist_ok=True)
        volume, console = tmp_path / "volume", tmp_path / "console"
        volume.mkdir(exist_ok=True)
        doors = Control(run / "control.sock", run / "edge.sock")
        if control:
            server = await asyncio.start_unix_server(doors.serve, doors.edge_path)
            stack.callback(server.close)
        if api is not None:
            runner = web.AppRunner(api)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.UnixSite(runner, str(doors.http_path)).start()
        source = Ingest(run / "ingest-0.sock")
        if ingest:
            await source.start()
            stack.push_async_callback(source.stop)
        settings = Settings.model_validate({"http": {"host": "127.0.0.1", "port": 0, **http}, "command": command or {}})
        edge = Edge(
            settings,
            console=console,
            control_socket=doors.http_path,
            edge_socket=doors.edge_path,
            ingest_sockets={"ingest-0": source.path},
            volumes=[volume],
            deposit=run / "deposit",
            link_key=KEY,
        )
        await edge.start()
        stack.push_async_callback(edge.stop)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        return World(edge, source, doors, client, console, volume)

    async with stack:
        yield make
