"""Whatever is asked at the public port: nothing outside the volumes and the console leaves, and every error is JSON."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from gb28181 import tokens
from gb28181.edge.app import Edge
from tests.edge.world import KEY, World
from tests.fuzz.hostile import parts, words

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SECRET = b"TOP-CONTENT"
#: A real segment and the folders around it.
SEGMENT = "34020000001320000001/34020000001310000001/20260301/080000.000"

segments_of_paths = st.one_of(
    parts, st.sampled_from(SEGMENT.split("/")), st.sampled_from(["0", "1", "-1", "00", "0x0", "%EF%BC%99"])
)


@pytest.fixture
async def edge(make_world: Callable[..., Awaitable[World]]) -> World:
    world = await make_world()
    file = world.volume / f"{SEGMENT}.ps"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\x00\x00\x01\xba" * 100)
    (world.volume.parent / "secret.ps").write_bytes(SECRET)
    (world.volume.parent / "secret.txt").write_bytes(SECRET)
    (world.volume / ".gb28181-volume").write_bytes(SECRET)
    (file.parent / "link.ps").symlink_to(world.volume.parent / "secret.ps")
    (world.console / "assets").mkdir(parents=True)
    (world.console / "index.html").write_text("<!doctype html>console")
    return world


async def ask(world: World, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> int:
    """Status of an answer that is within the rules."""
    async with (
        asyncio.timeout(30),
        world.client.request(method, URL(world.url + path, encoded=True), headers=headers, allow_redirects=False) as response,
    ):
        said = await response.read()
        assert response.status != 500, said
        assert SECRET not in said, path
        if response.status >= 400 and said and method != "HEAD":
            assert json.loads(said)["error"]["code"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        return response.status


@FUZZ
@given(pieces=st.lists(segments_of_paths, max_size=7), query=st.dictionaries(words, words, max_size=2))
async def test_no_path_leads_out(edge: World, pieces: list[str], query: dict[str, str]):
    tail = "?" + urlencode(query, errors="surrogatepass") if query else ""
    await ask(edge, "/" + "/".join(pieces) + tail)


@FUZZ
@given(pieces=st.lists(segments_of_paths, min_size=4, max_size=4), number=segments_of_paths)
async def test_even_a_signed_link_opens_only_segments_of_a_volume(edge: World, pieces: list[str], number: str):
    """A key that leaked must not read the machine: the path is checked although its token is right."""
    resource = "/".join(unquote(part) for part in (number, *pieces))
    token = tokens.sign(KEY, "segment", resource, int(time.time()) + 60) if _encodable(resource) else "x"
    status = await ask(edge, f"/media/segment/{number}/{'/'.join(pieces)}.ps?token={token}")
    assert status != 200 or (resource == f"0/{SEGMENT}")


@pytest.mark.parametrize("name", ["link", "..%2f..%2f..%2f..%2fsecret", "%2e%2e"])
async def test_a_link_on_the_volume_that_leads_out_of_it_is_not_followed(edge: World, name: str):
    folder = SEGMENT.rpartition("/")[0]
    token = tokens.sign(KEY, "segment", f"0/{folder}/{unquote(name)}", int(time.time()) + 60)
    assert await ask(edge, f"/media/segment/0/{folder}/{name}.ps?token={token}") == 404


@FUZZ
@given(
    spans=st.one_of(
        words,
        st.lists(st.tuples(st.integers(-10, 500), st.integers(-10, 500)), max_size=20).map(
            lambda pairs: "bytes=" + ",".join(f"{a}-{b}" for a, b in pairs)
        ),
        st.sampled_from(
            ["bytes=", "bytes=-", "bytes=0-", "bytes=-0", "bytes=399-", "bytes=400-", "items=0-1", "bytes=9" + "9" * 50]
        ),
    )
)
async def test_any_range_is_answered(edge: World, spans: str):
    header = "".join(character for character in spans if " " <= character <= "~")  # the client refuses to send the rest
    token = tokens.sign(KEY, "segment", f"0/{SEGMENT}", int(time.time()) + 60)
    status = await ask(edge, f"/media/segment/0/{SEGMENT}.ps?token={token}", headers={"Range": header})
    assert status in (200, 206, 400, 416)


@FUZZ
@given(data=st.data(), token=words, method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]))
async def test_no_media_route_opens_without_its_token(edge: World, data: st.DataObject, token: str, method: str):
    route = data.draw(st.sampled_from(media_routes(edge.edge)))
    path = re.sub(r"\{\w+(?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?\}", lambda _: data.draw(segments_of_paths), route)
    status = await ask(edge, f"{path}?{urlencode({'token': token}, errors='surrogatepass')}", method=method)
    assert status >= 400


def media_routes(edge: Edge) -> list[str]:
    """Every route below `/media`, whoever added it."""
    found = {resource.canonical for resource in edge.app.router.resources() if resource.canonical.startswith("/media")}
    assert len(found) >= 2
    return sorted(found)


HEADERS = st.tuples(
    st.sampled_from([b"Host", b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"Range", b"\xff"]),
    st.sampled_from([b"x", b"chunked", b"-1", b"9" * 30, b"websocket", b"\x00", b"bytes=0-", b"\xe4"]),
)


@st.composite
def nearly_requests(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"FOO", b"\x16\x03\x01", b""]))
    headers = b"".join(b"%b: %b\r\n" % pair for pair in draw(st.lists(HEADERS, max_size=5)))
    return b"%b /media/%b HTTP/1.1\r\n%b\r\n%b" % (method, draw(st.binary(max_size=40)), headers, draw(st.binary(max_size=40)))


@FUZZ
@given(wire=st.one_of(st.binary(max_size=300), nearly_requests()))
async def test_any_bytes_on_the_port_are_survived(edge: World, wire: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    writer.write(wire)
    writer.write_eof()
    async with asyncio.timeout(30):
        try:
            said = await reader.read()
        except ConnectionError:
            said = b""
    writer.close()
    assert SECRET not in said
    assert not said.startswith(b"HTTP/1.1 500")
    assert await ask(edge, "/") == 200


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
