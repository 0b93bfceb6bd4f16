"""Endpoints that exist for a device and for each of its channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from gb28181.accounts.rights import Right
from gb28181.api.routing import Call, Method, Route, route
from gb28181.ids import DeviceId

Asked = Callable[[Call[Any, Any], DeviceId, str], Awaitable[Any]]


def device_route(
    method: Method,
    path: str,
    *,
    right: Right,
    query: type[BaseModel] | None = None,
    request: type[BaseModel] | None = None,
    response: type[BaseModel] | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
) -> Callable[[Asked], tuple[Route, Route]]:
    """Makes two endpoints of a handler that takes a device and a channel, "" for the device itself.

    Args:
        path: Below `/devices/{device_id}` and `/devices/{device_id}/channels/{channel_id}`.
    """

    def decorate(asked: Asked) -> tuple[Route, Route]:
        async def of_device(call: Call[Any, Any]) -> Any:
            return await asked(call, call.services.devices.get(call.device_id).device_id, "")

        async def of_channel(call: Call[Any, Any]) -> Any:
            key = call.services.catalog.channel(call.key).key
            return await asked(call, key.device_id, key.channel_id)

        of_device.__name__, of_channel.__name__ = asked.__name__, f"{asked.__name__}_of_channel"
        of_device.__doc__ = of_channel.__doc__ = asked.__doc__
        statuses = (404, *errors)

        def made(start: str, handler: Callable[[Call[Any, Any]], Awaitable[Any]]) -> Route:
            return route(
                method, start + path, right=right, query=query, request=request, response=response, status=status,
                errors=statuses,
            )(handler)  # fmt: skip

        return made("/devices/{device_id}", of_device), made("/devices/{device_id}/channels/{channel_id}", of_channel)

    return decorate


def named(device_id: DeviceId, channel_id: str) -> str:
    """The target of a command as the audit names it."""
    return f"{device_id}/{channel_id}" if channel_id else str(device_id)
