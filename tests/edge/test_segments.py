"""Download of closed segments: ranges, refusals, and nothing outside a volume."""

from __future__ import annotations

import time

import pytest
from yarl import URL

from gb28181 import tokens
from tests.edge.world import KEY

BODY = bytes(range(256)) * 4096
PATH = "dev1/ch1/20260301/080000.000"


@pytest.fixture
async def world(make_world):
    world = await make_world()
    file = world.volume / f"{PATH}.ps"
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    file.with_name("090000.000.ps.part").write_bytes(b"open")
    (world.volume.parent / "secret.ps").write_bytes(b"TOP-CONTENT")
    return world


def link(world, path: str = PATH, *, volume: str = "0", suffix: str = ".ps") -> str:
    token = tokens.sign(KEY, "segment", f"{volume}/{path}", int(time.time()) + 60)
    return f"{world.url}/media/segment/{volume}/{path}{suffix}?token={token}"


async def test_segment_is_served_as_received(world):
    async with world.client.get(link(world)) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == 'attachment; filename="ch1_20260301_080000.000.ps"'
        assert await answer.read() == BODY


async def test_range_gives_that_part(world):
    async with world.client.get(link(world), headers={"Range": "bytes=1000-1999"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(BODY)}"
        assert await answer.read() == BODY[1000:2000]


async def test_range_beyond_the_end_is_416(world):
    async with world.client.get(link(world), headers={"Range": f"bytes={len(BODY)}-"}) as answer:
        assert answer.status == 416


async def test_head_tells_the_length(world):
    async with world.client.head(link(world)) as answer:
        assert answer.status == 200
        assert answer.content_length == len(BODY)


async def test_segment_that_is_gone_is_404_in_json(world):
    for url in (link(world, "dev1/ch1/20260301/070000.000"), link(world, volume="7"), link(world, volume="x")):
        async with world.client.get(url) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "not_found"


async def test_segment_being_written_is_never_served(world):
    for url in (link(world, "dev1/ch1/20260301/090000.000.ps", suffix=".part"), link(world, "dev1/ch1/20260301/090000.000")):
        async with world.client.get(url) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    "path", ["../../../secret", "dev1/%2e%2e/%2e%2e/secret", "dev1/..%2f..%2fsecret/20260301/x", "%2Fetc/a/b/c"]
)
async def test_path_never_leaves_the_volume(world, path):
    async with world.client.get(URL(link(world, path), encoded=True)) as answer:
        assert answer.status in (403, 404)
        assert b"TOP-CONTENT" not in await answer.read()


async def test_link_out_of_the_volume_is_not_followed(world):
    (world.volume / "dev1/ch1/20260301/100000.000.ps").symlink_to(world.volume.parent / "secret.ps")
    async with world.client.get(link(world, "dev1/ch1/20260301/100000.000")) as answer:
        assert answer.status == 404


async def test_token_of_another_segment_is_refused(world):
    stolen = link(world, "dev1/ch1/20260301/070000.000").split("token=")[1]
    async with world.client.get(link(world).split("token=")[0] + "token=" + stolen) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "link_refused"
