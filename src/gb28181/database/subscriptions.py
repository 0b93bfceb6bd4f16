"""Rows of subscriptions: written behind, removed with their device."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from gb28181.database import tables
from gb28181.database.dialogs import dialog_in
from gb28181.database.rows import Rows, microseconds, moment, text
from gb28181.ids import DeviceId
from gb28181.subscription.model import Subscription, SubscriptionKey, Topic, Wish
from gb28181.texts.text import packed, unpacked


class SubscriptionRows(Rows):
    """`ports.SubscriptionStore`."""

    async def load_subscriptions(self) -> list[Subscription]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.subscriptions))
            return [_subscription(row) for row in rows.mappings()]

    def save_subscription(self, subscription: Subscription) -> None:
        key = subscription.key
        row = {
            "device_id": key.device_id,
            "topic": str(key.topic),
            "target": text(key.target),
            "wish": dataclasses.asdict(subscription.wish),
            "state": subscription.state,
            "event": text(subscription.event),
            "dialog": None if subscription.dialog is None else dataclasses.asdict(subscription.dialog),
            "expires_at": microseconds(subscription.expires_at),
            "registration": text(subscription.registration),
            "status": subscription.status,
            "reason": text(packed(subscription.reason)),
            "failures": subscription.failures,
            "changed_at": microseconds(subscription.changed_at),
        }
        self._behind.put(tables.subscriptions, key, key.device_id, row)


def _subscription(row: sa.RowMapping) -> Subscription:
    dialog = row["dialog"]
    return Subscription(
        key=SubscriptionKey(DeviceId(row["device_id"]), Topic(row["topic"]), row["target"]),
        wish=Wish(**row["wish"]),
        state=row["state"],
        event=row["event"],
        dialog=None if dialog is None else dialog_in(dialog),
        expires_at=moment(row["expires_at"]),
        registration=row["registration"],
        status=row["status"],
        reason=unpacked(row["reason"]),
        failures=row["failures"],
        changed_at=moment(row["changed_at"]),
    )
