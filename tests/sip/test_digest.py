"""Digest authentication: vectors of the specification, nonces, and what clients really send (quirks Q19, Q20, Q22; S7)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.sip.digest import Algorithm, DigestServer, Verdict, Verification, digest_response

from .vectors import DEVICE, DOMAIN, PLATFORM, vectors

URI = f"sip:{PLATFORM}@{DOMAIN}"
PASSWORD = "12345678"
SOURCE = "203.0.113.7"
NOW = 1_772_000_000.0


def server(**options: object) -> DigestServer:
    return DigestServer(b"k" * 32, DOMAIN, 300, **options)  # type: ignore[arg-type]


def nonce_of(challenge: str) -> str:
    found = re.search(r'nonce="([^"]*)"', challenge)
    assert found
    return found[1]


def credentials(nonce: str, *, counter: str = "", template: str = "", **changes: str) -> str:
    fields = {"username": DEVICE, "realm": DOMAIN, "password": PASSWORD, "uri": URI, **changes}
    algorithm: Algorithm = "SHA-256" if fields.pop("algorithm", "") == "SHA-256" else "MD5"
    response = digest_response(algorithm, method="REGISTER", nonce=nonce, counter=counter, **fields)
    template = template or 'Digest username="{username}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}"'
    return template.format(**fields, nonce=nonce, response=response)


def verify(one: DigestServer, authorization: str, **changes: object) -> Verification:
    arguments: dict[str, object] = {
        "method": "REGISTER",
        "uri": URI,
        "device_id": DEVICE,
        "source": SOURCE,
        "password": PASSWORD,
        "now": NOW,
    }
    return one.verify(authorization, **{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("algorithm", "counter", "expected"),
    [
        ("MD5", "", "572cb704b75a3adfefc11f1756c8b8d0"),
        ("MD5", "00000001:0a4f113b:auth", "d726f13bfefb09b82b79b29331ec0b8f"),
        ("SHA-256", "", "f55cdc846240d9b0116fbaabc2c82e3afd36ff609265b9fe212477a968e5d5ac"),
        ("SHA-256", "00000001:0a4f113b:auth", "1576244acbe7447e42c27f5bdc915394e6a9b4ec856bd09ddebeacc1c7e8f1ca"),
    ],
)
def test_responses_of_the_specification(algorithm: Algorithm, counter: str, expected: str) -> None:
    nonce = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
    fields = {"username": DEVICE, "realm": DOMAIN, "password": PASSWORD, "method": "REGISTER", "uri": URI}
    assert digest_response(algorithm, nonce=nonce, counter=counter, **fields) == expected


def test_the_challenge_is_one_md5_line_without_qop() -> None:
    challenge = server().challenge(NOW, source=SOURCE)
    assert re.fullmatch(r'Digest realm="3402000000",nonce="[0-9a-f]{32}",algorithm=MD5', challenge)
    assert server().challenge(NOW, source=SOURCE, stale=True).endswith(",stale=true")


def test_the_right_password_is_accepted_and_the_nonce_serves_for_its_life() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    for later in (0, 10, 299):
        assert verify(one, credentials(nonce), now=NOW + later).verdict is Verdict.OK


def test_a_nonce_survives_a_restart() -> None:
    nonce = nonce_of(server().challenge(NOW, source=SOURCE))
    assert verify(server(), credentials(nonce)).verdict is Verdict.OK


# S7
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"now": NOW + 301}, "expired", id="expired"),
        pytest.param({"now": NOW - 100}, "expired", id="from-the-future"),
        pytest.param({"source": "203.0.113.8"}, "not of this server", id="another-host"),
    ],
)
def test_a_nonce_out_of_time_or_place_is_stale_and_never_a_wrong_password(changes: dict[str, object], reason: str) -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    for password in (PASSWORD, "wrong"):
        result = verify(one, credentials(nonce, password=password), **changes)
        assert result.verdict is Verdict.STALE
        assert reason in result.reason


@pytest.mark.parametrize("nonce", ["a1b2c3d4e5f60718293a4b5c6d7e8f90", "x", "A" * 32, "0" * 31, "é" * 32])
def test_a_nonce_that_is_not_ours_is_stale(nonce: str) -> None:
    assert verify(server(), credentials(nonce)).verdict is Verdict.STALE


def test_a_nonce_of_another_key_is_stale() -> None:
    other = DigestServer(b"other", DOMAIN, 300)
    assert verify(server(), credentials(nonce_of(other.challenge(NOW, source=SOURCE)))).verdict is Verdict.STALE


def test_a_nonce_serves_one_device() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    assert verify(one, credentials(nonce)).verdict is Verdict.OK
    other = verify(one, credentials(nonce, username="other"), device_id="other")
    assert other == Verification(Verdict.STALE, "nonce serves another device", "other")


def test_no_credentials_are_missing() -> None:
    for text in (
        "",
        "  ",
        "Basic abc",
        'Capability algorithm="A:RSA"',
        "Digest",
        'Digest username="x"',
        "Digest " + "a" * 9999,
    ):
        assert verify(server(), text).verdict is Verdict.MISSING


# quirk Q20
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"password": "wrong"}, ["password mismatch"], id="password"),
        pytest.param({"realm": "34020000"}, ["realm mismatch", "34020000", DOMAIN], id="realm"),
        pytest.param({"password": "x", "username": "admin"}, ["password", "username 'admin'", DEVICE], id="username"),
        pytest.param({"password": "x", "uri": "sip:1@2"}, ["password", "uri 'sip:1@2'", URI], id="uri"),
    ],
)
def test_a_failure_says_what_to_check(changes: dict[str, str], words: list[str]) -> None:
    one = server()
    result = verify(one, credentials(nonce_of(one.challenge(NOW, source=SOURCE)), **changes))
    assert result.verdict is Verdict.WRONG
    assert all(word in result.reason for word in words)
    assert PASSWORD not in result.reason


def test_a_device_without_password_is_told_so() -> None:
    one = server()
    result = verify(one, credentials(nonce_of(one.challenge(NOW, source=SOURCE))), password=[])
    assert (result.verdict, result.reason) == (Verdict.WRONG, "no password is set for this device")


# quirk Q22
def test_another_username_with_the_right_password_is_accepted_and_named() -> None:
    one = server()
    result = verify(one, credentials(nonce_of(one.challenge(NOW, source=SOURCE)), username="admin"))
    assert (result.verdict, result.username) == (Verdict.OK, "admin")
    assert "admin" in result.reason


def test_any_of_several_passwords_is_accepted() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    assert verify(one, credentials(nonce), password=["old", PASSWORD]).verdict is Verdict.OK
    assert verify(one, credentials(nonce), password=("old", "older")).verdict is Verdict.WRONG


# quirk Q19
@pytest.mark.parametrize(
    ("template", "counter"),
    [
        pytest.param(
            'Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", '
            'algorithm=MD5, qop=auth, nc=0000000a, cnonce="0a4f113b"',
            "0000000a:0a4f113b:auth",
            id="lower-case-nc",
        ),
        pytest.param(
            'Digest username="{username}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}",'
            'qop="auth",nc=1,cnonce="x"',
            "1:x:auth",
            id="quoted-qop-short-nc",
        ),
        pytest.param(
            'digest  USERNAME = "{username}" , Realm={realm},nonce={nonce},uri={uri},response={response},qop="auth"',
            "",
            id="qop-without-nc",
        ),
        pytest.param(
            'Digest username="{username}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}",algorithm="md5"',
            "",
            id="quoted-lower-case-algorithm",
        ),
    ],
)
def test_clients_spell_their_credentials_in_many_ways(template: str, counter: str) -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    result = verify(one, credentials(nonce, counter=counter, template=template))
    assert result.verdict is Verdict.OK, result.reason


def test_an_upper_case_response_is_accepted() -> None:
    one = server()
    text = credentials(nonce_of(one.challenge(NOW, source=SOURCE)))
    head, _, response = text.rpartition('response="')
    assert verify(one, head + 'response="' + response.upper()).verdict is Verdict.OK


def test_the_literal_uri_of_the_client_is_hashed() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    assert verify(one, credentials(nonce, uri="sip:192.0.2.10:5060")).verdict is Verdict.OK


def test_a_counted_nonce_cannot_be_replayed() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    template = (
        'Digest username="{{username}}",realm="{{realm}}",nonce="{{nonce}}",uri="{{uri}}",response="{{response}}",'
        'qop=auth,nc={0},cnonce="c"'
    )

    def attempt(nc: str) -> Verdict:
        return verify(one, credentials(nonce, counter=f"{nc}:c:auth", template=template.format(nc))).verdict

    assert [attempt(nc) for nc in ("00000001", "00000001", "00000003", "00000002", "00000004")] == [
        Verdict.OK,
        Verdict.STALE,
        Verdict.OK,
        Verdict.STALE,
        Verdict.OK,
    ]


def test_an_algorithm_or_qop_that_was_not_offered_is_refused() -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    for extra in (",algorithm=SHA-256", ",algorithm=MD5-sess", ',qop="auth-int"'):
        assert verify(one, credentials(nonce) + extra).verdict is Verdict.WRONG


def test_sha_256_is_accepted_where_it_was_offered() -> None:
    one = server(algorithm="SHA-256")
    challenge = one.challenge(NOW, source=SOURCE)
    assert challenge.endswith("algorithm=SHA-256")
    assert verify(one, credentials(nonce_of(challenge), algorithm="SHA-256") + ",algorithm=SHA-256").verdict is Verdict.OK


def test_memory_for_used_nonces_is_bounded_and_forgotten_ones_are_stale() -> None:
    one = server(max_uses=10)
    first = nonce_of(one.challenge(NOW, source=SOURCE))
    assert verify(one, credentials(first)).verdict is Verdict.OK
    for step in range(50):
        nonce = nonce_of(one.challenge(NOW + 1 + step, source=SOURCE))
        assert verify(one, credentials(nonce), now=NOW + 1 + step).verdict is Verdict.OK
    assert len(one._uses) <= 10
    assert verify(one, credentials(first), now=NOW + 60).verdict is Verdict.STALE


def test_expired_uses_are_forgotten() -> None:
    one = server()
    for step in range(20):
        verify(one, credentials(nonce_of(one.challenge(NOW + step, source=SOURCE))), now=NOW + step)
    late = NOW + 1000
    for _ in range(15):
        verify(one, credentials(nonce_of(one.challenge(late, source=SOURCE))), now=late)
    assert len(one._uses) == 15


@given(text=st.text(max_size=300))
def test_any_text_is_a_verdict(text: str) -> None:
    assert verify(server(), "Digest " + text).verdict in (Verdict.MISSING, Verdict.STALE)


#: What may stand in a quoted string without escapes; names and passwords of operators, Chinese too.
_WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters='"\\\\'), min_size=1, max_size=20)


@given(password=_WORDS, other=_WORDS, counter=st.sampled_from(["", "00000001:0a4f113b:auth"]))
def test_whatever_the_password_only_that_one_is_right(password: str, other: str, counter: str) -> None:
    one = server()
    template = 'Digest username="{username}",realm="{realm}",nonce="{nonce}",uri="{uri}",response="{response}"'
    if counter:
        template += ',qop=auth,nc=00000001,cnonce="0a4f113b"'
    text = credentials(nonce_of(one.challenge(NOW, source=SOURCE)), password=password, counter=counter, template=template)
    assert verify(one, text, password=password).verdict is Verdict.OK
    if other != password:
        assert verify(server(), text, password=other).verdict is Verdict.WRONG


@given(
    blanks=st.lists(st.sampled_from(["", " ", "  ", "\t"]), min_size=12, max_size=12),
    order=st.permutations(range(5)),
    quoted=st.booleans(),
)
def test_blanks_and_order_never_change_the_verdict(blanks: list[str], order: list[int], quoted: bool) -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    fields = credentials(nonce).removeprefix("Digest ").split(",")
    fields.append('algorithm="MD5"' if quoted else "algorithm=MD5")
    spaced = [
        f"{blanks[2 * number]}{name}{blanks[2 * number + 1]}={value}"
        for number, (name, _, value) in enumerate(fields[place].partition("=") for place in order)
    ]
    assert verify(one, "Digest " + ",".join([*spaced, fields[5]])).verdict is Verdict.OK


@given(octets=st.binary(max_size=60))
def test_any_octets_in_valid_credentials_are_a_verdict(octets: bytes) -> None:
    one = server()
    nonce = nonce_of(one.challenge(NOW, source=SOURCE))
    text = credentials(nonce) + "," + octets.decode("utf-8", "surrogateescape")
    assert isinstance(verify(one, text).verdict, Verdict)


@pytest.mark.skipif(not vectors(), reason="the test vectors of the specification are not at hand")
def test_credentials_of_the_vectors_are_wrongly_nonced_but_read() -> None:
    texts = [
        line
        for one in vectors()
        for line in one.data.decode("gb18030").split("\r\n")
        if line.startswith("Authorization: Digest")
    ]
    assert len(texts) >= 5
    for text in texts:
        result = verify(server(), text.partition(": ")[2])
        assert result.verdict is Verdict.STALE
        assert result.username
