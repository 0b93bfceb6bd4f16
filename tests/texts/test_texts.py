"""A sentence goes through errors, processes and the database, and is told in the language of whoever reads it."""

from __future__ import annotations

import copy
import errno
import os
import pickle

import pytest

from gb28181.errors import CommandFailed, NoPicture, Unreachable
from gb28181.frames import FrameReader, encode
from gb28181.messages import Failed, Snapshot, StreamState
from gb28181.texts.language import accepted, of_terminal
from gb28181.texts.sentences import SENTENCES
from gb28181.texts.text import Text, cause_of, packed, reason_of, rendered, say, together, told_as, unpacked

OFFLINE = say("device.offline", device_id="34020000001320000001")


def test_a_text_is_its_english_sentence_until_somebody_reads_it() -> None:
    assert OFFLINE == "device 34020000001320000001 is offline: check its power, its network and its SIP settings"
    assert f"{OFFLINE}" == str.__str__(OFFLINE)
    assert rendered(OFFLINE, "en") == OFFLINE
    assert rendered(OFFLINE, "zh") == "设备 34020000001320000001 离线：请检查设备供电、网络和 SIP 设置"


def test_an_error_gives_its_text_back() -> None:
    assert rendered(str(Unreachable(OFFLINE)), "zh").startswith("设备")
    assert str(Unreachable("plain")) == "plain"
    assert str(Unreachable()) == ""


def test_a_text_within_a_text_is_told_in_the_same_language() -> None:
    failed = CommandFailed(OFFLINE, device_id="1", command="Catalog", stage="not_sent")
    assert str(failed) == f"Catalog to device 1: {OFFLINE}"
    assert rendered(str(failed), "zh") == f"向设备 1 发送 Catalog：{rendered(OFFLINE, 'zh')}"


def test_several_sentences_become_one() -> None:
    faults = [say("storage.file", path=f"/{name}", fault=say("storage.suspect")) for name in "abc"]
    assert together(faults) == "/a: suspect; /b: suspect; /c: suspect"
    assert rendered(together(faults), "zh") == "/a：疑似故障；/b：疑似故障；/c：疑似故障"
    assert together([]) == ""


def test_a_text_survives_what_strings_survive() -> None:
    for other in (copy.deepcopy(OFFLINE), pickle.loads(pickle.dumps(OFFLINE)), unpacked(packed(OFFLINE))):
        assert rendered(other, "zh") == rendered(OFFLINE, "zh")
    nested = say("text.two", first=OFFLINE, rest="…")
    assert rendered(unpacked(packed(nested)), "zh") == rendered(nested, "zh")


def test_a_sentence_that_this_version_does_not_know_is_told_in_english() -> None:
    assert unpacked('{"text":"of.tomorrow","with":{"x":1},"en":"it rains"}') == "it rains"
    assert unpacked('{"text":"device.offline","with":{"renamed":1},"en":"it rains"}') == "it rains"


@pytest.mark.parametrize(
    "kept", ["", "plain", "{", '{"text":', '{"text":1}', '{"text":"device.offline","with":[],"en":""}', '{"text":' * 5000]
)
def test_any_other_string_is_given_back(kept: str) -> None:
    assert unpacked(kept) == kept
    assert packed(kept) == kept


def test_processes_tell_each_other_texts() -> None:
    stream = StreamState("s", "d", "c", "udp", 30000, note=say("stream.ts"))
    told = [Snapshot(1, (stream,)), Failed(2, "no_port", say("stream.no_port", why=say("stream.ports_used")))]
    snapshot, failed = FrameReader().feed(b"".join(map(encode, told)))
    assert [snapshot, failed] == told
    assert isinstance(snapshot, Snapshot)
    assert isinstance(failed, Failed)
    assert rendered(snapshot.streams[0].note, "zh") == SENTENCES["stream.ts"][1]
    assert "全部在用" in rendered(failed.message, "zh")


def test_what_the_system_says_is_told_in_words() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert reason_of(full) == "No space left on device"
    assert rendered(reason_of(full), "zh") == "磁盘已满"
    assert reason_of(OSError(errno.EDOM, "out of domain")) == "out of domain"
    assert reason_of(OSError("no number")) == "no number"


@pytest.mark.parametrize("name", [name for name in SENTENCES if name.startswith("system.")])
def test_english_words_of_the_system_are_its_own(name: str) -> None:
    assert SENTENCES[name][0] == os.strerror(getattr(errno, name.removeprefix("system.")))


def test_causes_without_words_keep_their_name() -> None:
    assert rendered(cause_of("bye"), "zh") == "设备结束了码流"
    assert cause_of("of-tomorrow") == "of-tomorrow"


def test_findings_of_others_keep_their_english() -> None:
    assert told_as("invalid.missing", "Field required!", {}) == "Field required!"
    assert rendered(told_as("invalid.missing", "Field required!", {}), "zh") == "必填"
    assert type(told_as("invalid.of_tomorrow", "odd", {})) is str
    assert type(told_as("invalid.string_too_long", "long", {"renamed": 1})) is str


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("zh", "zh"),
        ("zh-Hant-TW", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("zh-CN;q=0.9,en;q=0.8", "zh"),
        ("en;q=0.3, zh;q=0.4", "zh"),
        ("zh,en", "zh"),
        ("en,zh", "en"),
        ("fr,de;q=0.5", "en"),
        ("fr,zh;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=nan,en", "en"),
        ("zh;q=7", "en"),
        ("de," * 1000 + "zh", "en"),
    ],
)
def test_a_caller_is_told_what_it_asks_for(header: str, language: str) -> None:
    assert accepted(header) == language


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, "zh"),
    ],
)
def test_a_terminal_is_told_what_its_locale_says(environment: dict[str, str], language: str) -> None:
    assert of_terminal(environment) == language


def test_no_picture_keeps_the_text_in_its_facts() -> None:
    missing = NoPicture(say("live.nobody_waits"), stage="invited", detail={"note": say("stream.ts")})
    assert isinstance(missing.detail["note"], Text)
    assert isinstance(str(missing), Text)
