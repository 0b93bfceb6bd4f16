"""Requests of the platform carried out by one device: what is written, in how many parts, and what it does besides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from gb28181.errors import PeerTimeout, Unreachable
from gb28181.sim import catalog, deposit, manscdp
from gb28181.sim.catalog import Contents
from gb28181.sim.dialects.dialect import Trait
from gb28181.sim.functions import Functions, Reboot, Snapshot, Upgrade
from gb28181.sim.manscdp import Request, document, elements, listing, parts
from gb28181.sim.settings import Settings
from gb28181.sim.speech import Speech
from gb28181.sim.statistics import Recorder, Statistics

logger = logging.getLogger(__name__)

#: Messages on the way at once where a device does not wait for answers.
_UNPACED: Final = 50
_INSTALL_S: Final = 1.0


class Device(Protocol):
    """The device as far as carrying out goes."""

    device_id: str
    registered: asyncio.Event

    async def tell(self, text: str, *, channel_id: str = "") -> bool:
        """Sends a MESSAGE; whether it was taken."""

    def boot_again(self) -> None:
        """Restarts with new ports and Call-IDs."""

    def is_encoding(self) -> bool:
        """Whether some picture is being sent."""


class Answers:
    """Carries requests out.

    Args:
        spawn: Starts a task that ends with the device; one that outlives a restart is started by the device itself.
    """

    def __init__(
        self,
        settings: Settings,
        speech: Speech,
        functions: Functions,
        contents: Contents,
        device: Device,
        *,
        statistics: Statistics,
        recorder: Recorder,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
        outlive: Callable[[Coroutine[Any, Any, object]], None],
    ) -> None:
        self._settings, self._speech, self._functions, self._contents = settings, speech, functions, contents
        self._device, self._statistics, self._recorder = device, statistics, recorder
        self._spawn, self._outlive = spawn, outlive

    def carry_out(self, request: Request) -> None:
        """A MESSAGE that was answered 200."""
        if request.root == "Query":
            self._spawn(self._answer(request))
        elif request.root == "Control":
            self._control(request)

    # -- queries -------------------------------------------------------------------------------------------------------

    async def _answer(self, query: Request) -> None:
        match query.command:
            case "Catalog":
                await self._catalog(query)
            case "RecordInfo":
                await self._records(query)
            case _:
                text = self._functions.answer(
                    query, time.monotonic(), time.time(), is_encoding=self._device.is_encoding()
                ) or manscdp.result(query, is_ok=False)
                await self._device.tell(text, channel_id=self._channel_of(query))

    def _channel_of(self, request: Request) -> str:
        return request.device_id if request.device_id in self._functions.names else ""

    async def _catalog(self, query: Request) -> None:
        """All items, or those below what is asked for; the next message only after the answer to the previous one (Annex M)."""
        if self._speech.does(Trait.NO_CATALOG):
            return
        if query.device_id == self._device.device_id:
            items = self._speech.items(self._contents.all(), query.device_id)
        else:
            items = self._contents.under(query.device_id)
        total = self._speech.total(len(items))
        edition = self._speech.edition
        texts = (
            manscdp.response(
                query,
                elements(SumNum=total)
                + (listing("DeviceList", "Item", [catalog.row(item, edition) for item in group]) if group else ""),
            )
            for group in catalog.batches(items, self._settings.items_per_message)
        )
        if await self._send_parts(texts):
            self._statistics.catalogs_answered += 1

    async def _records(self, query: Request) -> None:
        rows = self._functions.found(query, time.time())
        total = self._speech.total(len(rows)) if rows else 0
        texts = [
            manscdp.response(
                query,
                elements(Name=self._functions.name, SumNum=total) + (listing("RecordList", "Item", group) if group else ""),
            )
            for group in parts(rows, self._settings.items_per_message)
        ]
        if self._speech.does(Trait.LAST_PART_LOST) and len(texts) > 1:
            texts.pop()
        await self._send_parts(iter(texts))

    async def _send_parts(self, texts: Any) -> bool:
        if not self._speech.does(Trait.UNPACED):
            for text in texts:
                if not await self._device.tell(text):
                    return False
            return True
        while group := [text for text, _ in zip(texts, range(_UNPACED), strict=False)]:
            await asyncio.gather(*(self._device.tell(text) for text in group))
        return True

    # -- controls ------------------------------------------------------------------------------------------------------

    def _control(self, control: Request) -> None:
        text: str | None
        if control.command == "DeviceConfig":
            text, effect = self._functions.configure(control)
        elif control.command == "DeviceControl":
            text, effect = self._functions.control(control, time.monotonic())
        else:
            text, effect = manscdp.result(control, is_ok=False), None
        self._recorder.write("control", self._device.device_id, command=control.command, target=control.device_id)
        if text is not None:
            self._spawn(self._device.tell(text, channel_id=self._channel_of(control)))
        match effect:
            case Reboot():
                self._device.boot_again()
            case Snapshot():
                self._spawn(self._take_pictures(effect))
            case Upgrade():
                self._outlive(self._upgrade(effect))

    async def _take_pictures(self, order: Snapshot) -> None:
        """2022 §9.14: pictures to the URL, then a notification that names those that arrived."""
        left: list[str] = []
        for sequence in range(order.count):
            if sequence:
                await asyncio.sleep(order.interval_s)
            now = time.time()
            name = deposit.file_id(order.target, now, sequence)
            try:
                data = await asyncio.to_thread(deposit.jpeg, self._settings.picture, now)
                await asyncio.to_thread(deposit.leave, order.url, name, data)
            except Unreachable as failure:
                logger.info("picture not taken", extra={"device_id": self._device.device_id, "reason": str(failure)})
                continue
            left.append(name)
        self._recorder.write("snapshot", self._device.device_id, session=order.session, pictures=len(left))
        inner = elements(SessionID=order.session) + manscdp.block(
            "SnapShotList", "".join(elements(SnapShotFileID=name) for name in left)
        )
        await self._device.tell(document("Notify", "UploadSnapShotFinished", 1, order.target, inner))

    async def _upgrade(self, order: Upgrade) -> None:
        """2022 §9.13: fetches, installs, registers anew, then tells the result."""
        reason: str | None = None
        try:
            digest = await asyncio.to_thread(deposit.fetch, order.url)
            self._recorder.write("firmware", self._device.device_id, sha256=digest)
        except Unreachable as failure:
            logger.info("firmware not fetched", extra={"device_id": self._device.device_id, "reason": str(failure)})
            reason = "01"
        if reason is None:
            await asyncio.sleep(_INSTALL_S)
            self._functions.firmware = order.firmware
            self._device.registered.clear()
            self._device.boot_again()
            await self._device.registered.wait()
        inner = elements(
            SessionID=order.session,
            UpgradeResult="OK" if reason is None else "ERROR",
            Firmware=self._functions.firmware,
            UpgradeFailedReason=reason,
        )
        with contextlib.suppress(PeerTimeout):
            await self._device.tell(document("Notify", "DeviceUpgradeResult", 1, self._device.device_id, inner))
