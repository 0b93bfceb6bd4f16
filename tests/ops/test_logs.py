from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gb28181.config import LogSettings
from gb28181.ops.logs import Flood, configure, mask


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure(LogSettings(), "control", stream=out)
    yield out
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("password=hunter2", "hunter2"),
        ("PASSWORD: 'hunter2'", "hunter2"),
        ('{"password": "hunter2 with blanks", "user": "admin"}', "hunter2 with blanks"),
        ("{'sip_password': 'hunter2'}", "hunter2"),
        ("GET /media/live/a/b.flv?token=AAAhunter2&x=1", "hunter2"),
        ("Authorization: Bearer hunter2.abc.def", "hunter2"),
        ('Authorization: Digest username="a", realm="r", nonce="n", response="hunter2"', "hunter2"),
        ('WWW-Authenticate: Digest nonce="hunter2"', "hunter2"),
        ('Digest username="340200", nonce="hunter2", response="x"', "hunter2"),
        ('nonce="n", response="hunter2"', "hunter2"),
        ("postgresql://gb:hunter2@db/gb", "hunter2"),
        ("bearer hunter2", "hunter2"),
        ("request failed path=/media/upload/0123/2/hunter2", "hunter2"),
        ("GET /media/firmware/ab/cd/hunter2/fw.bin 500", "hunter2"),
        ("http://h/media/hls/a/b/1-2/hunter2/index.m3u8", "hunter2"),
        ("<Item><Password>hunter2</Password></Item>", "hunter2"),
        ('<x:SipPwd a="b">hunter2', "hunter2"),
    ],
)
def test_secrets_in_text_are_masked(text, gone):
    assert gone not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize("text", ["device online", "no response: timed out", "wrong password", "sip:3402@1.2.3.4:5060", "a=b"])
def test_ordinary_text_is_left_alone(text):
    assert mask(text) == text


def test_facts_are_shown_and_secret_ones_masked(output):
    logging.getLogger("gb28181.x").info(
        "device online",
        extra={"device_id": "3402", "title": "东门 1", "nonce": "hunter2", "facts": {"token": "hunter2", "n": 1}},
    )
    line = output.getvalue()
    assert " INFO control gb28181.x: device online device_id=3402 " in line
    assert "hunter2" not in line
    assert "nonce=***" in line
    assert "'n': 1" in line


def test_traceback_is_shown_and_masked(output):
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("x").exception("failed token=hunter2")
    assert "ValueError: password=***" in output.getvalue()
    assert "hunter2" not in output.getvalue()


def test_peer_cannot_forge_a_line(output):
    logging.getLogger("x").warning("odd user agent", extra={"user_agent": "a\r\n2026-01-01 INFO x: forged\x1b[2J"})
    assert output.getvalue().count("\n") == 1
    assert "\x1b" not in output.getvalue()


def test_json_has_one_object_a_line(output):
    configure(LogSettings(format="json"), "edge", stream=output)
    logging.getLogger("x").info("a %s", "密码", extra={"device_id": "3402", "password": "hunter2"})
    entry = json.loads(output.getvalue())
    assert entry | {"at": ""} == {
        "at": "", "level": "info", "process": "edge", "logger": "x", "message": "a 密码",
        "device_id": "3402", "password": "***",
    }  # fmt: skip


def test_badly_formatted_call_is_logged_all_the_same(output):
    logging.getLogger("x").info("%d", "no number")
    assert "no number" in output.getvalue()


def test_one_line_of_the_code_is_logged_so_often_and_no_more():
    flood = Flood(burst=3, per_s=2.0)

    def passes(at: float, line: int = 7) -> logging.LogRecord | None:
        record = logging.makeLogRecord({"name": "gb28181.x", "lineno": line, "created": at})
        return record if flood.filter(record) else None

    assert [passes(100.0) is not None for _ in range(5)] == [True] * 3 + [False] * 2
    assert passes(100.0, line=8) is not None
    record = passes(100.5)
    assert record is not None
    assert record.left_out == 2  # type: ignore[attr-defined]  # an extra
    assert passes(100.6) is None
