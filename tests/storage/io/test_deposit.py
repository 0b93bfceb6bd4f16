from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gb28181.command.model import Firmware
from gb28181.errors import Conflict, Invalid, NotFound, Unavailable
from gb28181.storage.io.deposit import PICTURE, Deposit, label_of

SESSION = "0123456789abcdef" * 2
FIRMWARE = Firmware(SESSION, "v2.bin", "V2.0", "Hik", datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def deposit(tmp_path: Path) -> Deposit:
    return Deposit(tmp_path, most_bytes=1 << 20)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("34020000001320000001022026030108000012301.jpg", "34020000001320000001022026030108000012301"),
        ("../../etc/passwd", "passwd"),
        ("C:\\shots\\门口 1.jpeg", "1"),
        ("..", ""),
        (".jpg", "jpg"),
        ("", ""),
        ("a" * 300 + ".jpg", "a" * 64),
        ("a\x00b/..%2f.jpg", "2f"),
    ],
)
def test_a_label_never_leads_anywhere(name: str, label: str):
    assert label_of(name) == label
    assert PICTURE.fullmatch(f"01-{label}.jpg" if label else "01.jpg")


def test_pictures_are_numbered_as_they_come_and_end_at_their_number(deposit: Deposit):
    assert deposit.keep_picture(SESSION, b"one", label="x", most=2) == 1
    assert deposit.keep_picture(SESSION, b"one", label="x", most=2) == 1  # repeated, because our answer was lost
    assert deposit.keep_picture(SESSION, b"two", label="x", most=2) == 2
    assert deposit.keep_picture(SESSION, b"two", label="", most=2) == 2
    with pytest.raises(Conflict, match="all 2 pictures"):
        deposit.keep_picture(SESSION, b"three", label="", most=2)
    assert [(found.name, found.bytes) for found in deposit.pictures(SESSION)] == [("01-x.jpg", 3), ("02-x.jpg", 3)]
    assert deposit.picture_path(SESSION, "02-x.jpg").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../01-x.jpg", "01-x.png", "1.jpg", "", "01-x.jpg/..", ".01-x.jpg.12.ab"])
def test_nothing_but_a_picture_can_be_named(deposit: Deposit, name: str):
    deposit.keep_picture(SESSION, b"one", label="x", most=2)
    with pytest.raises(NotFound):
        deposit.picture_path(SESSION, name)
    with pytest.raises(NotFound):
        deposit.keep_picture("../" + SESSION, b"one", label="x", most=2)


def test_the_oldest_orders_make_room(tmp_path: Path):
    deposit = Deposit(tmp_path, most_bytes=3 * 8192)
    sessions = [f"{number:032x}" for number in range(5)]
    for age, session in enumerate(sessions):
        deposit.keep_picture(session, b"x" * 100, label="", most=1)
        os.utime(tmp_path / "pictures" / session, (1000 + age, 1000 + age))
    assert deposit.make_room() == 2
    assert [bool(deposit.pictures(session)) for session in sessions] == [False, False, True, True, True]
    assert Deposit(tmp_path, most_bytes=1 << 20, most_orders=1).make_room() == 2
    assert Deposit(tmp_path / "none", most_bytes=1).make_room() == 0


def test_a_firmware_is_described_then_stored_then_served(deposit: Deposit):
    deposit.describe_firmware(FIRMWARE)
    assert deposit.firmwares() == [FIRMWARE]
    with pytest.raises(NotFound, match="not been stored"):
        deposit.firmware_path(SESSION)
    incoming = deposit.receive_firmware(SESSION)
    with pytest.raises(Unavailable):
        deposit.receive_firmware(SESSION)
    incoming.write(b"abc")
    incoming.write(b"def")
    assert incoming.finish() == hashlib.sha256(b"abcdef").hexdigest()
    assert deposit.firmware_path(SESSION).read_bytes() == b"abcdef"
    assert (deposit.firmware(SESSION).bytes, deposit.firmware(SESSION).is_stored) == (6, True)
    with pytest.raises(Conflict):
        deposit.receive_firmware(SESSION)
    deposit.remove_firmware(SESSION)
    assert deposit.firmwares() == []


def test_a_firmware_that_was_not_sent_whole_can_be_sent_again(deposit: Deposit):
    deposit.describe_firmware(FIRMWARE)
    incoming = deposit.receive_firmware(SESSION)
    with pytest.raises(Invalid, match="empty"):
        incoming.finish()
    incoming.discard()
    again = deposit.receive_firmware(SESSION)
    again.write(b"x")
    again.finish()
    assert deposit.firmware(SESSION).is_stored


def test_what_is_half_written_or_by_hand_is_no_firmware(deposit: Deposit, tmp_path: Path):
    deposit.describe_firmware(FIRMWARE)
    for name, text in ((f"{1:032x}.json", "{"), (f"{2:032x}.json", "[]"), (f"{3:032x}.json", '{"name": "x"}')):
        (tmp_path / "firmware" / name).write_text(text)
    assert deposit.firmwares() == [FIRMWARE]
    with pytest.raises(NotFound):
        deposit.firmware("x")
