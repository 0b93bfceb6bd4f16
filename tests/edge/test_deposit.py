"""Pictures that devices upload, and firmware that they fetch, over the real door."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gb28181 import tokens
from gb28181.command.model import Firmware
from gb28181.edge import deposit as edge_deposit
from gb28181.messages import Transfer
from gb28181.storage.io.deposit import PICTURE, Deposit
from tests.edge.world import KEY, World, until
from tests.fuzz.hostile import PATHS
from tests.media.test_jpeg import jpeg

SESSION = "0123456789abcdef" * 2
FIRMWARE = "f" * 32
PICTURES = [jpeg(64, 32 + 16 * number) for number in range(4)]

MakeWorld = Callable[..., Awaitable[World]]


def upload_path(count: int = 2, *, expires: float = 60, session: str = SESSION) -> str:
    token = tokens.sign(KEY, "upload", f"{session}/{count}", int(time.time() + expires))
    return f"/media/upload/{session}/{count}/{token}"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()


async def send(world: World, method: str, path: str, data: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    if isinstance(data, bytes):
        data = io.BytesIO(data)  # sent in parts, as a device does
    async with world.client.request(method, f"{world.url}{path}", data=data, headers=headers) as response:
        return response.status, await response.json()


def form(*files: bytes, field: str = "file", name: str = "shot.jpg") -> aiohttp.MultipartWriter:
    writer = aiohttp.MultipartWriter("form-data")
    about = writer.append("34020000001320000001")
    about.set_content_disposition("form-data", name="DeviceID")
    for file in files:
        part = writer.append(file, {"Content-Type": "image/jpeg"})  # type: ignore[arg-type]  # a plain mapping is one
        part.set_content_disposition("form-data", name=field, filename=name)
    return writer


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_raw_picture_is_kept_and_served(world: World, method: str):
    path = upload_path() + "/34020000001320000001022026030108000012301.jpg"
    assert await send(world, method, path, PICTURES[0], **{"Content-Type": "image/jpeg"}) == (200, {"kept": 1})
    name = "01-34020000001320000001022026030108000012301.jpg"
    token = tokens.sign(KEY, "picture", f"{SESSION}/{name}", int(time.time() + 60))
    async with world.client.get(f"{world.url}/media/picture/{SESSION}/{name}?token={token}") as response:
        assert (response.status, response.content_type) == (200, "image/jpeg")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert await response.read() == PICTURES[0]
    async with world.client.get(f"{world.url}/media/picture/{SESSION}/{name}?token={token[:-2]}aa") as response:
        assert response.status == 403


async def test_pictures_in_one_form_are_kept_each(world: World):
    assert await send(world, "POST", upload_path(), form(PICTURES[0], PICTURES[1])) == (200, {"kept": 2})
    assert [found.name for found in world.deposit.pictures(SESSION)] == ["01-shot.jpg", "02-shot.jpg"]


async def test_a_body_without_length_and_type_is_taken_too(world: World):
    async def slowly() -> Any:
        for start in range(0, len(PICTURES[0]), 500):
            yield PICTURES[0][start : start + 500]

    assert await send(world, "PUT", upload_path(), slowly()) == (200, {"kept": 1})


async def test_control_is_told_of_every_picture(world: World):
    await send(world, "PUT", upload_path(), PICTURES[0])
    await until(lambda: world.control.transfers == [Transfer(SESSION, 1, 2)])


async def test_a_picture_beyond_the_order_is_refused_and_one_repeated_is_not_another(world: World):
    for picture, kept in ((PICTURES[0], 1), (PICTURES[1], 2), (PICTURES[1], 2)):
        assert await send(world, "PUT", upload_path(), picture) == (200, {"kept": kept})
    status, answer = await send(world, "PUT", upload_path(), PICTURES[2])
    assert (status, answer["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(upload_path(expires=-1), id="expired"),
        pytest.param(upload_path().replace("/2/", "/9/"), id="another-count"),
        pytest.param(upload_path().replace(SESSION, "e" * 32), id="another-order"),
        pytest.param(f"/media/upload/{SESSION}/2/nonsense", id="no-token"),
    ],
)
async def test_a_link_opens_for_its_order_number_and_time_alone(world: World, path: str):
    status, answer = await send(world, "PUT", path, PICTURES[0])
    assert (status, answer["error"]["code"]) == (403, "link_refused")
    assert world.deposit.pictures(SESSION) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 415, id="empty"),
        pytest.param(b"<html>", 415, id="html"),
        pytest.param(PICTURES[0][:-2], 400, id="cut-off"),
        pytest.param(PICTURES[0] + bytes(200_000), 413, id="too-long"),
    ],
)
async def test_what_is_no_whole_picture_is_refused(make_world: MakeWorld, body: bytes, status: int):
    world = await make_world(command={"picture_bytes": 64 << 10})
    assert (await send(world, "PUT", upload_path(), body))[0] == status
    assert world.deposit.pictures(SESSION) == []


async def test_a_form_that_is_none_is_refused(world: World):
    for body, kind in ((b"x", "multipart/form-data"), (b"--a\r\n\r\n", "multipart/form-data; boundary=b")):
        status, _ = await send(world, "POST", upload_path(), body, **{"Content-Type": kind})
        assert status == 400
    assert (await send(world, "POST", upload_path(), form()))[0] == 400  # fields only


@pytest.mark.parametrize(
    ("kind", "encoding", "body"),
    [
        ("image/jpeg", "gzip", b"no gzip"),
        ("image/jpeg", "deflate", b"\xff" * 50),
        ("multipart/form-data; boundary=b", "", b"--b\r\n:\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b\r\nContent-Length: -1\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b\r\nContent-Length: x\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b\r\n" + b"x" * 9000 + b": y\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b\r\nContent-Encoding: gzip\r\n\r\n\xff\xd8\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", "", b"--b--\r\n\r\n--b\r\n"),
    ],
)
async def test_a_body_that_is_not_what_its_headers_say_is_the_senders_fault(
    world: World, kind: str, encoding: str, body: bytes
):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.edge.port)
    head = [f"POST {upload_path()} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    head += [f"Content-Encoding: {encoding}"] if encoding else []
    writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
    status = int((await reader.read(4096)).split()[1])
    writer.close()
    assert 400 <= status < 500
    assert world.deposit.pictures(SESSION) == []


async def test_so_many_uploads_at_once_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edge_deposit, "_UPLOADS", 0)
    assert (await send(world, "PUT", upload_path(), PICTURES[0]))[0] == 503


# --- firmware ------------------------------------------------------------------------------------------------------


def describe(world: World) -> None:
    world.deposit.describe_firmware(Firmware(FIRMWARE, "v2.bin", "V2.0", "Hik", datetime(2026, 3, 1, tzinfo=UTC)))


def store_path() -> str:
    return f"/media/firmware/{FIRMWARE}?token={tokens.sign(KEY, 'firmware-store', FIRMWARE, int(time.time() + 60))}"


def fetch_path(session: str = SESSION) -> str:
    token = tokens.sign(KEY, "firmware", f"{FIRMWARE}/{session}", int(time.time() + 60))
    return f"/media/firmware/{FIRMWARE}/{session}/{token}/v2.bin"


async def test_a_firmware_goes_in_once_and_out_whole_or_in_ranges(world: World):
    content = bytes(range(256)) * 3000
    assert (await send(world, "PUT", store_path(), content))[0] == 404
    describe(world)
    status, answer = await send(world, "PUT", store_path(), content)
    assert (status, answer["sha256"]) == (200, hashlib.sha256(content).hexdigest())
    assert (await send(world, "PUT", store_path(), content))[0] == 409
    async with world.client.get(world.url + fetch_path()) as response:
        assert (response.status, await response.read()) == (200, content)
    await until(lambda: Transfer(SESSION, len(content), len(content)) in world.control.transfers)
    for asked, (start, end) in (
        ("bytes=0-99", (0, 100)), ("bytes=700000-", (700_000, len(content))), ("bytes=-5", (len(content) - 5, len(content))),
    ):  # fmt: skip
        async with world.client.get(world.url + fetch_path(), headers={"Range": asked}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(content)}"
            assert await response.read() == content[start:end]
    async with world.client.get(world.url + fetch_path(), headers={"Range": "bytes=9999999-"}) as response:
        assert response.status == 416
    async with world.client.head(world.url + fetch_path()) as response:
        assert response.headers["Content-Length"] == str(len(content))


async def test_a_link_serves_one_upgrade_and_then_no_more(world: World):
    describe(world)
    await send(world, "PUT", store_path(), b"x" * 1000)
    for expected in (200, 200, 200, 200, 403):
        async with world.client.get(world.url + fetch_path()) as response:
            await response.read()
            assert response.status == expected
    async with world.client.get(world.url + fetch_path("a" * 32)) as response:
        assert response.status == 200
    async with world.client.get(world.url + fetch_path().replace(SESSION, "b" * 32)) as response:
        assert response.status == 403


async def test_a_firmware_that_is_too_long_leaves_nothing(make_world: MakeWorld):
    world = await make_world(command={"firmware_mib": 1})
    describe(world)

    async def endless() -> Any:
        while True:
            yield bytes(1 << 18)
            await asyncio.sleep(0)

    try:
        status, _ = await send(world, "PUT", store_path(), endless())
        assert status == 413
    except aiohttp.ClientError:
        pass  # refused before it was read to its end
    assert (await send(world, "PUT", store_path(), b"x" * (2 << 20)))[0] == 413
    assert not world.deposit.firmware(FIRMWARE).is_stored
    assert (await send(world, "PUT", store_path(), b"x"))[0] == 200


async def test_slow_uploads_of_one_order_take_no_place_of_another(world: World):
    hold, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> Any:
        yield PICTURES[0][:100]
        begun.release()
        await hold.wait()
        yield PICTURES[0][100:]

    try:
        held = []
        for _ in range(edge_deposit._UPLOADS_OF_ONE):
            # 100 Continue comes before the body is asked for: what is sent after it finds the place taken.
            held.append(asyncio.create_task(send(world, "PUT", upload_path(), slow(), Expect="100-continue")))
            await begun.acquire()
        assert (await send(world, "PUT", upload_path(), PICTURES[0]))[0] == 503
        other = upload_path(session="e" * 32)
        assert await send(world, "PUT", other, PICTURES[1]) == (200, {"kept": 1})
    finally:
        hold.set()
    assert [status for status, _ in await asyncio.gather(*held)] == [200] * len(held)
    assert await send(world, "PUT", upload_path(), PICTURES[0]) == (200, {"kept": 1})


async def test_a_picture_in_drops_loses_its_place(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(edge_deposit, "_PICTURE_S", 0.0)
    over = asyncio.Event()

    async def drops() -> Any:
        yield PICTURES[0][:-1]
        await over.wait()
        yield PICTURES[0][-1:]

    async with world.client.put(world.url + upload_path(), data=drops()) as response:
        assert response.status == 408
        over.set()
    assert world.deposit.pictures(SESSION) == []


async def test_an_upgrade_fetches_its_file_a_few_times_at_once(world: World):
    describe(world)
    await send(world, "PUT", store_path(), bytes(1 << 20) * 24)
    held = []
    try:
        # Whoever takes nothing keeps a file of ours open; what is on its way fits into no buffer of the kernel.
        for _ in range(edge_deposit._FETCHES_AT_ONCE):
            held.append(await world.client.get(world.url + fetch_path()))
        assert [response.status for response in held] == [200] * len(held)
        async with world.client.get(world.url + fetch_path()) as response:
            assert response.status in (403, 503)
    finally:
        for response in held:
            response.close()


@pytest.mark.parametrize(
    "path", ["firmware/%ff?token=x", "firmware/%ed%a0%80?token=x", "picture/%ff/%ff?token=%ff", "upload/%ff/1/%ff"]
)
async def test_bytes_that_are_no_text_are_no_link(world: World, path: str):
    method = "GET" if path.startswith("picture") else "PUT"
    status, _ = await send(world, method, f"/media/{path}", b"x" if method == "PUT" else None)
    assert status in (403, 404)


@pytest.mark.parametrize(
    "name", [*PATHS, "../../../x.jpg", "a/../../b.jpg", "..", ".jpg", "\0.jpg", "x" * 500 + ".jpg", "%2e%2e%2f.jpg"]
)
async def test_a_picture_lies_in_the_folder_of_its_order_whatever_it_is_called(world: World, name: str):
    path = f"{upload_path()}/{quote(name.encode('utf-8', 'surrogatepass'), safe='')}"
    async with world.client.put(URL(world.url + path, encoded=True), data=PICTURES[0]) as response:
        assert response.status == (404 if "\n" in name else 200)
    folder = world.control.edge_path.parent
    if "\n" in name:
        assert not (folder / "deposit").exists()
        return
    [found] = [file for file in folder.rglob("*") if file.is_file() and file.read_bytes() == PICTURES[0]]
    assert found.parent == folder / "deposit" / "pictures" / SESSION
    assert PICTURE.fullmatch(found.name)


@given(header=st.one_of(st.text(max_size=30), st.from_regex(r"bytes=\d{0,16}-\d{0,16}")), size=st.integers(1, 10**12))
def test_any_range_of_a_firmware_lies_within_it(header: str, size: int):
    start, end = edge_deposit._range(header, size)
    assert start >= end or 0 <= start < end <= size


def test_nothing_lies_outside_the_folder(tmp_path: Path):
    deposit = Deposit(tmp_path / "deposit", most_bytes=1 << 20)
    deposit.keep_picture(SESSION, PICTURES[0], label="x", most=1)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["01-x.jpg"]
