"""All commands; importing this enters each into the registry."""

from gb28181.manscdp.commands import catalog, device, notify

__all__ = ["catalog", "device", "notify"]
