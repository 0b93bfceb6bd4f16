"""Files that devices leave with us or fetch from us, beside recordings: `<data>/deposit/`.

```
pictures/<session>/01-<label>.jpg      what a device uploaded for one order (§9.14)
firmware/<id>.json .bin .sum           what control says of a firmware, the file, and its length and hash
```

The edge writes pictures and firmware files, control writes what is known of a firmware; both read. Nothing that a device says
becomes a path before it was cut to letters, digits, `_` and `-`. All calls block: callers use a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gb28181.clock import rfc3339
from gb28181.command.model import Firmware, Picture
from gb28181.errors import Conflict, Invalid, NotFound, StorageError, Unavailable
from gb28181.texts.text import reason_of, say

SESSION: Final = re.compile(r"[0-9A-Za-z-]{32,128}")
PICTURE: Final = re.compile(r"\d{2}(-[0-9A-Za-z_-]{1,64})?\.jpg", re.ASCII)
_UNSAFE: Final = re.compile(r"[^0-9A-Za-z_-]+")
_LABEL: Final = 64
#: What a small file costs in any case.
_BLOCK: Final = 4096


def label_of(name: str) -> str:
    """What is kept of a name that a device gave: its last part without suffix, in safe letters; may be ""."""
    last = re.split(r"[/\\]", name.strip())[-1]
    return _UNSAFE.sub("_", last.rpartition(".")[0] or last)[:_LABEL].strip("_")


class Deposit:
    """The folder.

    Args:
        most_bytes: Of all pictures; the oldest orders lose theirs when it is passed.
        most_orders: Orders that have pictures.
    """

    def __init__(self, root: Path, *, most_bytes: int, most_orders: int = 20_000) -> None:
        self._pictures = root / "pictures"
        self._firmware = root / "firmware"
        self._most_bytes = most_bytes
        self._most_orders = most_orders

    # --- pictures --------------------------------------------------------------------------------------------------

    def keep_picture(self, session: str, data: bytes, *, label: str, most: int) -> int:
        """Stores one picture of an order durably; returns how many it has now. One that came before, repeated because our
        answer was lost, is not counted twice. The caller sees to it that calls of one order follow each other.

        Args:
            most: Pictures that the order may have.

        Raises:
            Conflict: It has them all.
            StorageError: It cannot be written.
        """
        folder = self._pictures / _checked(session)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = [folder / name for name in os.listdir(folder) if PICTURE.fullmatch(name)]
            if any(path.stat().st_size == len(data) and path.read_bytes() == data for path in known):
                return len(known)
            if len(known) >= most:
                raise Conflict(say("command.pictures_all", most=most))
            number = f"{len(known) + 1:02d}"
            _write(folder / (f"{number}-{label}.jpg" if label else f"{number}.jpg"), data)
        except OSError as error:
            raise StorageError(say("storage.picture", strerror=reason_of(error))) from None
        return len(known) + 1

    def pictures(self, session: str) -> list[Picture]:
        """Pictures of an order by their number; none where they have been removed."""
        folder = self._pictures / _checked(session)
        found = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if PICTURE.fullmatch(entry.name):
                    seen = entry.stat()
                    found.append(Picture(entry.name, seen.st_size, datetime.fromtimestamp(seen.st_mtime, UTC)))
        return sorted(found, key=lambda picture: picture.name)

    def picture_path(self, session: str, name: str) -> Path:
        """Raises: NotFound: There is no such picture (any more)."""
        path = self._pictures / session / name
        if not SESSION.fullmatch(session) or not PICTURE.fullmatch(name) or not path.is_file():
            raise NotFound(say("media.picture_gone"))
        return path

    def remove_pictures(self, session: str) -> None:
        shutil.rmtree(self._pictures / _checked(session), ignore_errors=True)

    def make_room(self) -> int:
        """Removes the pictures of the oldest orders until the rest fit; returns how many orders lost theirs."""
        orders = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(self._pictures):
                if entry.is_dir(follow_symlinks=False) and SESSION.fullmatch(entry.name):
                    sizes = [-(-file.stat().st_size // _BLOCK) * _BLOCK for file in os.scandir(entry.path)]
                    orders.append((entry.stat().st_mtime, entry.name, sum(sizes) + _BLOCK))
        orders.sort()
        total, removed = sum(size for _, _, size in orders), 0
        while orders and (total > self._most_bytes or len(orders) > self._most_orders):
            _, session, size = orders.pop(0)
            self.remove_pictures(session)
            total -= size
            removed += 1
        return removed

    # --- firmware --------------------------------------------------------------------------------------------------

    def describe_firmware(self, firmware: Firmware) -> None:
        """Raises: StorageError: It cannot be written."""
        known = asdict(firmware) | {"created_at": rfc3339(firmware.created_at)}
        try:
            self._firmware.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._firmware / f"{_checked(firmware.firmware_id)}.json", json.dumps(known).encode())
        except OSError as error:
            raise StorageError(say("storage.firmware_entry", strerror=reason_of(error))) from None

    def firmwares(self) -> list[Firmware]:
        """Every firmware that was described, the newest first."""
        found = [self._read_firmware(path) for path in self._firmware.glob("*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: one.created_at, reverse=True)

    def firmware(self, firmware_id: str) -> Firmware:
        """Raises: NotFound: There is none."""
        found = None
        if SESSION.fullmatch(firmware_id):
            found = self._read_firmware(self._firmware / f"{firmware_id}.json")
        if found is None:
            raise NotFound(say("command.no_firmware", firmware_id=firmware_id[:40]))
        return found

    def firmware_path(self, firmware_id: str) -> Path:
        """Raises: NotFound: There is no such firmware, or its file has not been stored."""
        if not self.firmware(firmware_id).is_stored:
            raise NotFound(say("command.firmware_missing"))
        return self._firmware / f"{firmware_id}.bin"

    def receive_firmware(self, firmware_id: str) -> Incoming:
        """A place for the file of a described firmware.

        Raises:
            NotFound: There is no such firmware.
            Conflict: Its file is stored already.
            Unavailable: It is being stored.
        """
        if self.firmware(firmware_id).is_stored:
            raise Conflict(say("command.firmware_stored"))
        return Incoming(self._firmware / firmware_id)

    def remove_firmware(self, firmware_id: str) -> None:
        for suffix in (".json", ".sum", ".bin", ".part"):
            (self._firmware / f"{_checked(firmware_id)}{suffix}").unlink(missing_ok=True)

    def _read_firmware(self, path: Path) -> Firmware | None:
        known = _json(path)
        try:
            known["created_at"] = datetime.fromisoformat(known["created_at"])
            return Firmware(**known | _json(path.with_suffix(".sum")))
        except (KeyError, TypeError, ValueError):
            return None  # half written, or by hand


class Incoming:
    """A firmware on its way in: `write` its parts, `finish` it; `discard` after a failure."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._hash = hashlib.sha256()
        self.bytes = 0
        part = place.with_suffix(".part")
        try:
            self._file = part.open("xb")
        except FileExistsError:
            raise Unavailable(say("command.firmware_storing")) from None
        except OSError as error:
            raise StorageError(say("storage.firmware", strerror=reason_of(error))) from None

    def write(self, data: bytes) -> None:
        """Raises: StorageError: The disk is full or fails."""
        self._guarded(lambda: self._file.write(data))
        self._hash.update(data)
        self.bytes += len(data)

    def finish(self) -> str:
        """Makes the file durable; returns its SHA-256.

        Raises:
            Invalid: It is empty.
            StorageError: The disk is full or fails.
        """
        if not self.bytes:
            raise Invalid(say("command.firmware_empty"))
        digest = self._hash.hexdigest()

        def close() -> None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._place.with_suffix(".part").rename(self._place.with_suffix(".bin"))
            _write(self._place.with_suffix(".sum"), json.dumps({"bytes": self.bytes, "sha256": digest}).encode())

        self._guarded(close)
        return digest

    def discard(self) -> None:
        self._file.close()
        self._place.with_suffix(".part").unlink(missing_ok=True)

    def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except OSError as error:
            raise StorageError(say("storage.firmware", strerror=reason_of(error))) from None


def _checked(session: str) -> str:
    if not SESSION.fullmatch(session):
        raise NotFound(say("command.no_such_order"))
    return session


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and never over another file of the same name from two hands at once."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


class DepositThreads:
    """`ports.Deposit`: the folder for an event loop."""

    def __init__(self, deposit: Deposit) -> None:
        self._deposit = deposit

    async def pictures(self, order_id: str) -> list[Picture]:
        return await asyncio.to_thread(self._deposit.pictures, order_id)

    async def firmwares(self) -> list[Firmware]:
        return await asyncio.to_thread(self._deposit.firmwares)

    async def firmware(self, firmware_id: str) -> Firmware:
        return await asyncio.to_thread(self._deposit.firmware, firmware_id)

    async def describe_firmware(self, firmware: Firmware) -> None:
        await asyncio.to_thread(self._deposit.describe_firmware, firmware)

    async def remove_firmware(self, firmware_id: str) -> None:
        await asyncio.to_thread(self._deposit.remove_firmware, firmware_id)
