"""What an operator should look at on a device, and what to do about it: read off what is known, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gb28181.device.model import Device, Fault
from gb28181.device.offset import WARN_S

#: How long ago a fault may have been seen to count as present.
_LATELY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to look at, in Chinese and in English."""

    code: str
    zh: str
    en: str


def hints(device: Device, now: datetime) -> list[Hint]:
    """The most important first."""
    return [*_shared_id(device, now), *_server_id(device), *_clock(device), *_storm(device, now)]


def _clock(device: Device) -> Iterator[Hint]:
    offset = device.clock_offset_s
    if offset is None or abs(offset) <= WARN_S:
        return
    zh = f"设备时钟{'快' if offset > 0 else '慢'} {abs(offset):.0f} 秒: 请检查设备的校时设置 (NTP, 或注册校时)"
    en = f"its clock is {abs(offset):.0f} s {'ahead' if offset > 0 else 'behind'}: check its time setting (NTP, or by SIP)"
    yield Hint("clock", zh, en)


def _server_id(device: Device) -> Iterator[Hint]:
    """Quirk Q24: it is served all the same, and refuses nothing of ours so far."""
    fault, registration = device.faults.get("wrong-server-id"), device.registration
    if fault is None or registration is None or fault.last_at is None or fault.last_at < registration.registered_at:
        return
    zh = f"设备上填写的 SIP 服务器编号为 {fault.detail}, 与本平台不一致: 可以工作, 建议改正"
    en = f"it was set to SIP server ID {fault.detail}, which is not ours: it works, and had better be corrected"
    yield Hint("server-id", zh, en)


def _shared_id(device: Device, now: datetime) -> Iterator[Hint]:
    if (fault := _lately(device, "address-contest", now)) is not None:
        zh = f"多个地址 ({fault.detail}) 轮流以此编号注册: 可能有两台设备编号相同, 请改其中一台"
        en = f"{fault.detail} register in turns under this ID: two devices have the same one, change one of them"
        yield Hint("shared-id", zh, en)


def _storm(device: Device, now: datetime) -> Iterator[Hint]:
    if _lately(device, "register-storm", now) is not None:
        zh = "设备注册过于频繁: 请检查网络是否时断时续, 以及注册有效期的设置"
        en = "it registers several times a minute: check its network, and its registration time"
        yield Hint("register-storm", zh, en)


def _lately(device: Device, name: str, now: datetime) -> Fault | None:
    fault = device.faults.get(name)
    return fault if fault is not None and fault.last_at is not None and now - fault.last_at < _LATELY else None
