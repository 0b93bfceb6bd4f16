"""Orders that take minutes: restarts, storage cards, upgrades with their firmware files, pictures from devices."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import Field

from gb28181.api import links
from gb28181.api.device_routes import device_route, named
from gb28181.api.fields import Name, Page, Said, Shown
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.command.model import Firmware, FormatDetail, Order, SnapshotDetail, UpgradeDetail
from gb28181.command.upgrades import STORE_S
from gb28181.ids import DeviceId

_FAILURES = (409, 502, 503, 504)
_HIDDEN = frozenset({"call_id", "seen"})


class OrderView(Model):
    """`state`: ordered, accepted, downloading, downloaded, uploading, formatting, restarting, restarted; in the end done,
    partial, refused, failed or timed_out. `progress`: 0 to 1 where it is known. `message`: why it ended so and what to do.
    """

    order_id: str
    kind: Literal["reboot", "format", "upgrade", "snapshot"]
    device_id: str
    channel_id: str | None
    user: str
    state: str
    open: bool
    progress: float | None
    ordered_at: Shown
    deadline: Shown
    ended_at: Shown | None
    message: Said
    detail: dict[str, Any]


class OrderPage(Model):
    items: list[OrderView]
    next: str | None


class OrdersQuery(Page):
    device_id: str = Field("", max_length=64)
    kind: Literal["", "reboot", "format", "upgrade", "snapshot"] = ""
    open: bool | None = None


class PictureView(Model):
    """`url` opens it for a while."""

    name: str
    bytes: int
    at: Shown
    url: str


class SnapshotView(OrderView):
    """`pictures`: what came and is still kept."""

    pictures: list[PictureView]


class SnapshotWish(Model):
    """`count` pictures, one every `interval_s` seconds."""

    count: int = Field(1, ge=1, le=10)
    interval_s: int = Field(1, ge=1, le=3600)


class CardView(Model):
    """`status`: ok, formatting, unformatted, idle or error; sizes in MB."""

    number: int
    name: str | None
    status: str | None
    format_progress: int | None
    capacity_mb: int | None
    free_mb: int | None


class CardsView(Model):
    asked_at: Shown
    cards: list[CardView]


class FormatWish(Model):
    """`card`: number from 1; 0 formats all. What lies on it is lost."""

    card: int = Field(ge=0, le=64)


class UpgradeWish(Model):
    firmware_id: str = Field(min_length=32, max_length=128)


class NewFirmware(Model):
    """`version` and `manufacturer` are told to the device; many refuse another maker's."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.-]*$")]
    version: Annotated[Name, Field(min_length=1)]
    manufacturer: Annotated[Name, Field(min_length=1)]


class FirmwareView(Model):
    """`stored` once the file has been sent to `upload_url` with PUT; the link is only in the answer that made it."""

    firmware_id: str
    name: str
    version: str
    manufacturer: str
    created_at: Shown
    stored: bool
    bytes: int
    sha256: str
    upload_url: str | None = None


class FirmwareList(Model):
    items: list[FirmwareView]


# --- orders --------------------------------------------------------------------------------------------------------


@route("GET", "/orders", right="view", query=OrdersQuery, response=OrderPage)
async def list_orders(call: Call[OrdersQuery, None]) -> OrderPage:
    """Lists orders to devices, the newest first."""
    query = call.query
    rows = [
        order
        for order in call.services.commands.orders.all()
        if query.device_id in ("", order.device_id) and query.kind in ("", order.kind) and query.open in (None, order.is_open)
    ]
    # Pages go upwards: the key is how long before the end of time it was ordered.
    rows.sort(key=_newest_first)
    page, following = Cursors(call.services.link_key, "orders").page(
        rows, key=_newest_first, limit=query.limit, cursor=query.cursor
    )
    return OrderPage(items=[_view(order) for order in page], next=following)


@route("GET", "/orders/{order_id}", right="view", response=OrderView, errors=(404,))
async def get_order(call: Call[None, None]) -> OrderView:
    """Shows how far an order is."""
    return _view(call.services.commands.orders.get(call.path["order_id"]))


# --- restart, cards ------------------------------------------------------------------------------------------------


@device_route("POST", "/reboot", right="administer", response=OrderView, status=202, errors=_FAILURES)
async def reboot(call: Call[None, None], device_id: DeviceId, channel_id: str) -> OrderView:
    """Restarts it. No device confirms that; the order shows when it went and came back."""
    await call.audit("device.reboot", named(device_id, channel_id))
    order = await call.services.commands.maintenance.reboot(device_id, channel_id, user=call.caller.username)
    return _view(order)


@device_route("GET", "/storage-cards", right="operate", response=CardsView, errors=_FAILURES)
async def storage_cards(call: Call[None, None], device_id: DeviceId, channel_id: str) -> CardsView:
    """Asks for the state of its storage cards; edition 2022."""
    asked_at = call.services.clock.utc()
    cards = await call.services.commands.maintenance.cards(device_id, channel_id)
    return CardsView(
        asked_at=asked_at,
        cards=[
            CardView(
                number=card.id,
                name=card.hdd_name,
                status=card.status,
                format_progress=card.format_progress,
                capacity_mb=card.capacity,
                free_mb=card.free_space,
            )
            for card in cards
        ],
    )


@device_route(
    "POST", "/storage-cards/format", right="administer", request=FormatWish, response=OrderView, status=202, errors=_FAILURES
)
async def format_card(call: Call[None, FormatWish], device_id: DeviceId, channel_id: str) -> OrderView:
    """Formats a storage card; the order shows how far it is. Edition 2022."""
    await call.audit("device.format", named(device_id, channel_id), card=call.body.card)
    order = await call.services.commands.maintenance.format(
        device_id, channel_id, card=call.body.card, user=call.caller.username
    )
    return _view(order)


# --- upgrade -------------------------------------------------------------------------------------------------------


@route("GET", "/firmware", right="administer", response=FirmwareList)
async def list_firmware(call: Call[None, None]) -> FirmwareList:
    """Lists firmware files, the newest first."""
    return FirmwareList(items=[_firmware(found) for found in await call.services.commands.deposit.firmwares()])


@route("POST", "/firmware", right="administer", request=NewFirmware, response=FirmwareView, status=201, errors=(409,))
async def create_firmware(call: Call[None, NewFirmware]) -> FirmwareView:
    """Enters a firmware file; the file itself is sent to `upload_url` with PUT."""
    body = call.body
    made = await call.services.commands.upgrades.enter_firmware(
        name=body.name, version=body.version, manufacturer=body.manufacturer
    )
    await call.audit("firmware.create", made.firmware_id, name=body.name, version=body.version)
    return _firmware(made, upload_url=links.store_firmware(call.services, made.firmware_id, STORE_S))


@route("DELETE", "/firmware/{firmware_id}", right="administer", errors=(404, 409))
async def delete_firmware(call: Call[None, None]) -> None:
    """Removes a firmware file."""
    await call.services.commands.upgrades.remove_firmware(call.path["firmware_id"])
    await call.audit("firmware.delete", call.path["firmware_id"])


@device_route("POST", "/upgrade", right="administer", request=UpgradeWish, response=OrderView, status=202, errors=_FAILURES)
async def upgrade(call: Call[None, UpgradeWish], device_id: DeviceId, channel_id: str) -> OrderView:
    """Has it take a firmware; the order shows download, restart and result. Edition 2022."""
    await call.audit("device.upgrade", named(device_id, channel_id), firmware_id=call.body.firmware_id)
    order = await call.services.commands.upgrades.order(
        device_id, channel_id, firmware_id=call.body.firmware_id, user=call.caller.username
    )
    return _view(order)


# --- pictures ------------------------------------------------------------------------------------------------------


@device_route(
    "POST", "/device-snapshots", right="operate", request=SnapshotWish, response=SnapshotView, status=202, errors=_FAILURES
)
async def order_snapshots(call: Call[None, SnapshotWish], device_id: DeviceId, channel_id: str) -> SnapshotView:
    """Has it take pictures and upload them to the platform. Edition 2022."""
    wish = call.body
    await call.audit("device.snapshot", named(device_id, channel_id), count=wish.count, interval_s=wish.interval_s)
    order = await call.services.commands.snapshots.order(
        device_id, channel_id, count=wish.count, interval_s=wish.interval_s, user=call.caller.username
    )
    return await _snapshot(call.services, order)


@route("GET", "/device-snapshots/{order_id}", right="watch", response=SnapshotView, errors=(404,))
async def get_snapshots(call: Call[None, None]) -> SnapshotView:
    """Shows an order for pictures and the pictures that came."""
    snapshots = call.services.commands.snapshots
    return await _snapshot(call.services, await snapshots.look(snapshots.get(call.path["order_id"]).order_id))


# --- views ---------------------------------------------------------------------------------------------------------


def _newest_first(order: Order) -> tuple[int, str]:
    return -int(order.ordered_at.timestamp() * 1_000_000), order.order_id


def _fields(order: Order) -> dict[str, Any]:
    detail = {name: value for name, value in dataclasses.asdict(order.detail).items() if name not in _HIDDEN}
    return {
        "order_id": order.order_id,
        "kind": order.kind,
        "device_id": order.device_id,
        "channel_id": order.channel_id or None,
        "user": order.user,
        "state": str(order.state),
        "open": order.is_open,
        "progress": _progress(order),
        "ordered_at": order.ordered_at,
        "deadline": order.deadline,
        "ended_at": order.ended_at,
        "message": order.message,
        "detail": detail,
    }


def _view(order: Order) -> OrderView:
    return OrderView(**_fields(order))


def _progress(order: Order) -> float | None:
    match order.detail:
        case SnapshotDetail(count=count, kept=kept):
            return round(kept / count, 3)
        case UpgradeDetail(done=done, total=total) if total:
            return round(done / total, 3)
        case FormatDetail(progress=percent) if percent is not None:
            return percent / 100
    return None


async def _snapshot(services: Services, order: Order) -> SnapshotView:
    pictures = await services.commands.deposit.pictures(order.order_id)
    return SnapshotView(
        **_fields(order),
        pictures=[
            PictureView(
                name=found.name, bytes=found.bytes, at=found.at, url=links.picture(services, order.order_id, found.name)
            )
            for found in pictures
        ],
    )


def _firmware(found: Firmware, *, upload_url: str | None = None) -> FirmwareView:
    return FirmwareView(
        firmware_id=found.firmware_id,
        name=found.name,
        version=found.version,
        manufacturer=found.manufacturer,
        created_at=found.created_at,
        stored=found.is_stored,
        bytes=found.bytes,
        sha256=found.sha256,
        upload_url=upload_url,
    )


ROUTES: tuple[Route, ...] = (
    list_orders, get_order, *reboot, *storage_cards, *format_card, list_firmware, create_firmware, delete_firmware,
    *upgrade, *order_snapshots, get_snapshots,
)  # fmt: skip
