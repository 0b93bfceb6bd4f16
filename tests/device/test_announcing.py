"""The log of devices that come: a line each, in a storm counts."""

from __future__ import annotations

import pytest

from gb28181.device.announcing import Announcements
from gb28181.ids import DeviceId


def test_a_storm_writes_few_lines_and_counts_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    announcements = Announcements()
    for number in range(1000):
        announcements.online(DeviceId(f"{number:020d}"), number / 500, source="198.51.100.1:5060")
    announcements.expire(1.5)
    announcements.expire(2.5)
    announcements.expire(3.5)
    counted = [record.count for record in caplog.records if record.msg == "more devices online"]  # type: ignore[attr-defined]
    assert len(caplog.records) - len(counted) == 40
    assert sum(counted) == 960


def test_each_of_a_few_devices_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    announcements = Announcements()
    announcements.online(DeviceId("1" * 20), 0.0, source="198.51.100.1:5060", is_new=True)
    announcements.online(DeviceId("2" * 20), 0.1, source="198.51.100.2:5060")
    announcements.expire(5.0)
    assert [record.msg for record in caplog.records] == ["new device online", "device online"]
