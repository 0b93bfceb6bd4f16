"""Who did what, for administrators."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from gb28181.api.fields import Page, Shown
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route


class AuditQuery(Page):
    user: str = Field("", max_length=64, description="only what this user did")
    action: str = Field("", max_length=64, description="only this action, such as `login` or `live.open`")


class AuditView(Model):
    id: int
    at: Shown
    user: str
    action: str
    target: str
    detail: dict[str, Any]


class AuditPage(Model):
    items: list[AuditView]
    next: str | None


@route("GET", "/audit", right="administer", query=AuditQuery, response=AuditPage)
async def list_audit(call: Call[AuditQuery, None]) -> AuditPage:
    """Lists what users did, newest first. Rows are kept for `database.keep_days`."""
    query = call.query
    cursors = Cursors(call.services.link_key, f"audit {query.user}\n{query.action}")
    before = None if query.cursor is None else int(cursors.read(query.cursor)[0])
    found = await call.services.accounts.audit_page(limit=query.limit + 1, before=before, user=query.user, action=query.action)
    page = found[: query.limit]
    items = [
        AuditView(
            id=entry.number,
            at=entry.at,
            user=entry.username,
            action=entry.action,
            target=entry.target,
            detail=dict(entry.detail),
        )
        for entry in page
    ]
    return AuditPage(items=items, next=cursors.write((page[-1].number,)) if len(found) > query.limit else None)


ROUTES: tuple[Route, ...] = (list_audit,)
