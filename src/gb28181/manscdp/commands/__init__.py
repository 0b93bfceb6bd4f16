"""All commands; importing this enters each into the registry."""

from gb28181.manscdp.commands import (
    alarm,
    broadcast,
    card,
    catalog,
    config,
    control,
    device,
    notify,
    position,
    ptz,
    record,
)

__all__ = ["alarm", "broadcast", "card", "catalog", "config", "control", "device", "notify", "position", "ptz", "record"]
