from __future__ import annotations

import re

from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from gb28181.api.app import ROUTES
from gb28181.api.routing import SERVICES
from tests.api.api_world import World


async def test_document_is_valid_openapi_3_1_and_names_every_endpoint(world: World):
    async with world.client.get("/api/openapi.json") as response:
        document = await response.json()
    OpenAPIV31SpecValidator(document).validate()
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {
        (route.method, route.resource.canonical)
        for route in world.client.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/v1") and route.method != "HEAD"
    }
    assert named == served


def test_every_endpoint_says_what_it_does():
    for route in ROUTES:
        assert route.text.split("\n")[0].endswith("."), route.name
        assert route.request is None or route.method in ("POST", "PUT", "PATCH")


def test_names_are_unique():
    assert len({route.name for route in ROUTES}) == len(ROUTES)


async def test_page_needs_nothing_from_elsewhere(world: World):
    async with world.client.get("/api/docs") as response:
        page = await response.text()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "/api/v1/devices/{device_id}" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//|<script""", page)
    for target in re.findall(r'href="#(\w+)"', page):
        assert f'id="{target}"' in page


async def test_nothing_answers_with_cors(world: World):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    async with world.client.options("/api/v1/devices", headers=headers) as response:
        assert response.status == 405
        assert not [name for name in response.headers if name.lower().startswith("access-control")]
    assert isinstance(world.client.app, web.Application)
    assert world.client.app[SERVICES].accounts is world.accounts
