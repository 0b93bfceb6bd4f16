"""What the catalogue feature receives: answers in parts, and notifications of changes."""

from __future__ import annotations

from gb28181.catalog.service import CatalogService
from gb28181.manscdp.commands.catalog import CatalogNotify, CatalogResponse
from gb28181.router import Routes


def routes(catalog: CatalogService) -> Routes:
    return {CatalogResponse: catalog.arrived, CatalogNotify: catalog.notified}
