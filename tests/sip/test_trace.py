"""What is kept of passing messages, and that no secret is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from gb28181.sip.ladder import ladder
from gb28181.sip.trace import Trace, TracedMessage, hex_dump

DEVICE = "34020000001320000001"
OTHER = "34020000001320000002"
SERVER = "34020000002000000001"
THERE, ELSEWHERE = ("192.0.2.7", 5060), ("192.0.2.8", 5060)


def request(method: str, sender: str, to: str, body: str = "", extra: str = "") -> bytes:
    return (
        f"{method} sip:{to}@3402000000 SIP/2.0\r\nFrom: <sip:{sender}@3402000000>;tag=1\r\nTo: <sip:{to}@3402000000>\r\n"
        f"CSeq: 1 {method}\r\n{extra}\r\n{body}"
    ).encode()


def answer(status: str, method: str, extra: str = "") -> bytes:
    return f"SIP/2.0 {status}\r\nCSeq: 1 {method}\r\n{extra}\r\n".encode()


def keepalive(sender: str) -> bytes:
    return request("MESSAGE", sender, SERVER, f"<Notify><CmdType>Keepalive</CmdType><DeviceID>{sender}</DeviceID></Notify>")


def taken(*messages: tuple[bool, tuple[str, int], bytes], room: int = 1 << 20) -> Trace:
    trace = Trace(room)
    for at, (is_inbound, remote, data) in enumerate(messages):
        trace.take(TracedMessage(at * 1000, is_inbound, "udp", *remote, data))
    return trace


def test_messages_of_a_device_are_those_that_name_it_or_touch_where_it_speaks():
    invite = request("INVITE", SERVER, "34020000001310000001")
    trace = taken(
        (True, THERE, request("REGISTER", DEVICE, SERVER)),
        (False, THERE, answer("401 Unauthorized", "REGISTER")),
        (True, ELSEWHERE, request("REGISTER", OTHER, SERVER)),
        (False, ELSEWHERE, answer("200 OK", "REGISTER")),
        (False, THERE, invite),
    )
    assert [message.summary() for message in trace.messages_of(DEVICE, limit=9)] == [
        "REGISTER",
        "401 Unauthorized (REGISTER)",
        "INVITE",
    ]
    assert [message.data for message in trace.messages_of(DEVICE, limit=1)] == [invite]
    assert trace.messages_of("34020000001320000099", limit=9) == []


def test_a_device_that_only_listens_is_found_by_its_known_address():
    trace = taken((False, THERE, request("INVITE", SERVER, "34020000001310000001")))
    assert trace.messages_of(DEVICE, limit=9) == []
    assert len(trace.messages_of(DEVICE, limit=9, remotes=frozenset({THERE}))) == 1


def test_keepalives_push_nothing_else_out():
    beats = [(True, THERE, keepalive(DEVICE)), (False, THERE, answer("200 OK", "MESSAGE"))] * 500
    trace = taken((True, THERE, request("REGISTER", DEVICE, SERVER)), *beats, room=20_000)
    shown = [message.summary() for message in trace.messages_of(DEVICE, limit=10_000)]
    assert shown[0] == "REGISTER"
    assert set(shown[1:]) == {"MESSAGE Keepalive", "200 OK (MESSAGE)"}
    assert sum(len(message.data) for message in trace.messages_of(DEVICE, limit=10_000)) < 20_000


def test_keepalives_that_are_read_together_push_nothing_else_out_either():
    here, there = (DEVICE, THERE), (OTHER, ELSEWHERE)
    together = [
        *((True, place, keepalive(device)) for device, place in (here, there)),
        *((False, place, answer("200 OK", "MESSAGE")) for _, place in (here, there)),
    ]
    trace = taken((True, THERE, request("REGISTER", DEVICE, SERVER)), *together * 500, room=20_000)
    assert trace.messages_of(DEVICE, limit=10_000)[0].summary() == "REGISTER"


def test_room_is_bounded():
    trace = taken(*[(True, THERE, request("MESSAGE", DEVICE, SERVER, "x" * 900))] * 1000, room=100_000)
    assert 20 < len(trace.messages_of(DEVICE, limit=10_000)) < 100


def test_no_secret_is_shown():
    secrets = (
        'Authorization: Digest username="34020000001320000001", nonce="n", uri="sip:x", response="c0ffee11", cnonce=ba5e\r\n'
    )
    body = (
        "<Item><Password>hunter2</Password></Item><UploadURL>http://192.0.2.1/media/upload/s/3/Zm9v</UploadURL>"
        "<FileURL> https://host/fw.bin?token=abcdef</FileURL>\r\na=crypto:1 AES_CM_128 inline:KEYKEY\r\n"
    )
    trace = taken((True, THERE, request("MESSAGE", DEVICE, SERVER, body, secrets)))
    messages = trace.messages_of(DEVICE, limit=9)
    shown = messages[0].text()
    for secret in ("c0ffee11", "ba5e", "hunter2", "Zm9v", "abcdef", "KEYKEY"):
        assert secret not in shown
        assert secret.encode().hex(" ") not in hex_dump(messages)
    assert "http://192.0.2.1***" in shown
    assert 'username="34020000001320000001"' in shown


@pytest.mark.parametrize(
    "said",
    [
        pytest.param('Authorization: Digest username="u", response=\r\n "SECRET"\r\n', id="folded"),
        pytest.param('Authorization: Digest username="u", response="00\r\n SECRET"\r\n', id="folded-inside"),
        pytest.param("PROXY-authorization :  dIgEsT RESPONSE = SECRET, uri=x\r\n", id="odd-case"),
        pytest.param("Authorization: Basic SECRET\r\n", id="basic"),
        pytest.param("authorization:\r\n Bearer\r\n SECRET\r\nTo: x\r\n", id="bearer-folded"),
        pytest.param('<Password type="a">SECRET</Password>', id="attribute"),
        pytest.param("<x:PassWord >SECRET</x:PassWord>", id="prefix"),
        pytest.param("<Password><![CDATA[<SECRET]]>SECRET</Password>", id="cdata"),
        pytest.param("<Password><![CDATA[SECRET", id="cdata-cut-off"),
        pytest.param("<ReadCommunity>SECRET</ReadCommunity>", id="snmp"),
        pytest.param("<WifiPwd>SECRET</WifiPwd><UserPasswd>SECRET</UserPasswd>", id="other-names"),
        pytest.param('<BasicParam Password="SECRET"/>', id="value-in-attribute"),
        pytest.param('{"password": "SECRET"} password=SECRET&x', id="no-xml"),
        pytest.param("<Url>rtsp://admin:SECRET@192.0.2.1/x</Url> sip:u:SECRET@h", id="in-an-address"),
        pytest.param('<UploadURL a="b"><![CDATA[http://h/SECRET]]></UploadURL>', id="link-in-cdata"),
        pytest.param("<sip:x@h?Authorization=Digest%20response%3D%22SECRET%22>", id="digest-in-an-address"),
        pytest.param("Proxy-Authorization: Digest response=SECRET", id="proxy"),
        pytest.param("<AccessToken>SECRET</AccessToken>", id="token"),
        pytest.param("/media/upload/SECRET/2/SECRET /media/firmware/SECRET", id="bare-link"),
    ],
)
def test_a_secret_is_masked_however_it_is_written(said: str):
    assert "SECRET" not in TracedMessage(0, True, "udp", *THERE, request("MESSAGE", DEVICE, SERVER, said, said)).text()


def test_what_is_no_secret_stays_readable():
    said = (
        'WWW-Authenticate: Digest realm="3402000000",nonce="abc"\r\nContact: <sip:x@192.0.2.1:5060;transport=tcp>\r\n'
        'Authorization: Capability algorithm="A:SM2;H:SM3",keyversion="2026"\r\n<Name>x</Name><Password/><Model>M</Model>'
    )
    data = request("REGISTER", DEVICE, SERVER, said)
    assert TracedMessage(0, True, "udp", *THERE, data).masked() == data


def test_a_message_of_megabytes_is_cut_before_it_is_read():
    assert len(TracedMessage(0, True, "udp", *THERE, b"<pwd><![CDATA[" * 600_000).text()) <= 64 << 10


def test_text_is_readable_whatever_the_character_set():
    data = request("MESSAGE", DEVICE, SERVER) + "<Name>城北出入口</Name>".encode("gb18030")
    assert "城北出入口" in TracedMessage(0, True, "udp", *THERE, data).text()


def test_hex_dump_gives_the_bytes_back():
    message = TracedMessage(1_795_348_800_123_456, False, "udp", *THERE, answer("200 OK", "MESSAGE"))
    lines = hex_dump([message]).splitlines()
    assert "O 2026-11-22T12:00:00.123Z" in lines
    rows = [line.partition(" ")[2] for line in lines if line[:6].isalnum() and " " in line and not line.startswith(("O", "I"))]
    assert bytes.fromhex("".join(rows)) == message.data


def test_ladder_is_well_formed_and_escapes_what_peers_sent():
    hostile = TracedMessage(5, True, "udp", '<"&', 1, b"<script>\x00\xff x SIP/2.0\r\n")
    failed = TracedMessage(9, False, "udp", *THERE, answer("486 Busy <Here>", "INVITE"))
    root = ElementTree.fromstring(ladder([hostile, failed], platform=SERVER, peer="a<b"))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "a<b" in texts
    assert "486 Busy <Here> (INVITE)" in texts
    assert root.find(".//{*}script") is None
    assert ladder([], platform="a", peer="b").endswith("</svg>\n")
