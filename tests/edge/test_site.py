"""The console's files."""

from __future__ import annotations

import gzip

import pytest
from yarl import URL


@pytest.fixture
async def world(make_world):
    world = await make_world()
    (world.console / "assets").mkdir(parents=True)
    (world.console / "index.html").write_text("<!doctype html>console")
    (world.console / "assets" / "index-Ab12Cd34.js").write_text("1")
    (world.console / "favicon.svg").write_text("<svg/>")
    (world.console.parent / "outside.txt").write_text("TOP-CONTENT")
    return world


async def test_page_that_says_how_to_build_when_nothing_is_built(make_world):
    world = await make_world()
    async with world.client.get(world.url + "/") as answer:
        assert answer.status == 200
        page = await answer.text()
        assert "./scripts/setup" in page
        assert "gb28181 is running" in page
        assert 'href="/api/docs"' in page
    async with world.client.get(world.url + "/", headers={"Accept-Language": "zh-CN"}) as answer:
        assert "Accept-Language" in answer.headers["Vary"]
        page = await answer.text()
        assert 'lang="zh-CN"' in page
        assert "控制台尚未构建" in page


@pytest.mark.parametrize("path", ["/", "/live", "/devices/34020000001320000001"])
async def test_paths_of_the_console_get_its_page(world, path):
    async with world.client.get(world.url + path) as answer:
        assert await answer.text() == "<!doctype html>console"
        assert answer.headers["Cache-Control"] == "no-cache"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy


async def test_hashed_assets_are_kept_for_ever(world):
    async with world.client.get(world.url + "/assets/index-Ab12Cd34.js") as answer:
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.content_type in ("text/javascript", "application/javascript")


async def test_other_files_are_asked_for_again(world):
    async with world.client.get(world.url + "/favicon.svg") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.content_type == "image/svg+xml"


@pytest.mark.parametrize("path", ["/assets/gone-Ab12Cd34.js", "/media/x", "/metrics/x"])
async def test_what_is_not_there_is_404_and_no_page(world, path):
    async with world.client.get(world.url + path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/..%2foutside.txt", "/assets/..%2f..%2foutside.txt", "/%2e%2e/outside.txt", "/a%00b"])
async def test_nothing_outside_the_folder_is_served(world, path):
    async with world.client.get(URL(world.url + path, encoded=True)) as answer:
        assert "TOP-CONTENT" not in await answer.text()


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE"])
async def test_method_that_is_not_served_is_405_in_json_and_names_those_that_are(world, method: str):
    async with world.client.request(method, world.url + "/live") as answer:
        assert answer.status == 405
        error = (await answer.json())["error"]
        assert error["code"] == "method_not_allowed"
        assert error["message"] == f"{method} is not served at /live; served are: GET, HEAD"


@pytest.fixture
async def compressed(world):
    """The world of a console whose build left compressed files beside the others."""
    for name in ("index.html", "assets/index-Ab12Cd34.js"):
        path = world.console / name
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return world


@pytest.mark.parametrize("path", ["/", "/live", "/assets/index-Ab12Cd34.js"])
async def test_a_browser_that_knows_gzip_gets_the_compressed_file(compressed, path):
    plain = {"Accept-Encoding": "identity"}
    async with compressed.client.get(compressed.url + path, headers=plain) as answer:
        assert "Content-Encoding" not in answer.headers
        whole, kept, etag = await answer.read(), answer.headers["Cache-Control"], answer.headers["ETag"]
        assert answer.headers["Vary"] == "Accept-Encoding"  # or a cache would give one browser the answer of another
        kind = answer.content_type
    zipped = {"Accept-Encoding": "gzip, deflate"}
    async with compressed.client.get(compressed.url + path, headers=zipped) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert (answer.content_type, answer.headers["Cache-Control"]) == (kind, kept)
        assert answer.headers["ETag"] != etag
        assert await answer.read() == whole  # unpacked by the client
        etag = answer.headers["ETag"]
    async with compressed.client.get(compressed.url + path, headers={**zipped, "If-None-Match": etag}) as answer:
        assert answer.status == 304
        assert (answer.headers["ETag"], answer.headers["Vary"]) == (etag, "Accept-Encoding")
        assert answer.headers["Cache-Control"] == kept
    async with compressed.client.head(compressed.url + path, headers=zipped) as answer:
        assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
