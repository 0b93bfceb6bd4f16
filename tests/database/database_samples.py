"""Entities with every field set."""

from __future__ import annotations

from datetime import UTC, datetime

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.device.model import Address, Device, Fault, Registration, Route
from gb28181.ids import DeviceId
from gb28181.recording.model import Segment
from gb28181.session.model import Dialog, StreamRecord

DEVICE = DeviceId("34020000001110000001")
CAMERA = DeviceId("34020000001310000001")
KEY = ChannelKey(DEVICE, CAMERA)
AT = datetime(2026, 3, 1, 8, 0, 0, 123456, UTC)
ROUTE = Route("tcp", Address("192.168.1.64", 5060), Address("fe80::1", 5060), 7)


def device(device_id: str = DEVICE, **changes: object) -> Device:
    full = Device(
        device_id=DeviceId(device_id),
        name="东门 枪机",
        manufacturer="Hikvision",
        model="DS-2CD",
        firmware="V5.7",
        user_agent="IP Camera",
        gb_version="3.0",
        password=b"\x00\xffsealed",
        registration=Registration(ROUTE, "sip:a@b", "call-1", AT, AT, behind_nat=True),
        last_seen_at=AT,
        keepalive_interval_s=60.0,
        media_transport="tcp",
        catalog_at=AT,
        catalog_announced=16,
        catalog_received=15,
        created_at=AT,
        faults={"wrong-content-length": Fault(312, AT, "x")},
        edition_hint="2022",
        networks=("192.0.2.0/24",),
        redirect="sip:34020000002000000002@192.0.2.1",
        clock_offset_s=-1.25,
        clock_offset_at=AT,
        overrides={"ignore_notified_status": True},
    )
    return full.with_changes(**changes)


def channel(channel_id: str = CAMERA, device_id: str = DEVICE, name: str = "大门𠮷") -> Channel:
    return Channel(
        key=ChannelKey(DeviceId(device_id), DeviceId(channel_id)),
        name=name,
        manufacturer="H",
        model="M",
        civil_code="340200",
        parent_id=device_id,
        parental=True,
        status_on=False,
        longitude=116.3,
        latitude=39.9,
        ptz_type=3,
        is_gone=True,
        missed=2,
        synthetic=True,
        seen_on=True,
        elements='{"Block":"块","Address":"A"}',
        updated_at=AT,
        alias="东门",
        recording_mode="always",
        retention_hours=72.5,
    )


def stream(stream_id: str = "s1", *, cseq: int = 1, closing: bool = False) -> StreamRecord:
    dialog = Dialog("c@h", "<sip:a@b>", "lt", "<sip:c@d>", "rt", "sip:c@1.2.3.4", ("<sip:p1;lr>", "<sip:p2;lr>"), cseq, ROUTE)
    return StreamRecord(stream_id, KEY, "ingest-0", 1700000000000000, "tcp", 20002, 4294967295, dialog, AT, closing)


def segment(start: int, end: int, *, key: ChannelKey = KEY, volume: str = "/v", path: str = "") -> Segment:
    named = path or f"{key.device_id}/{key.channel_id}/{start}"
    return Segment(key, start, end, 1000, "ab" * 32, "cd" * 32, volume, named, "rotated", lost=1, key_frames=2, adopted=True)
