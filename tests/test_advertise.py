"""Which address of ours a peer is told, by rule."""

from __future__ import annotations

import pytest

from gb28181.advertise import advertised, parse_rules
from gb28181.config import Settings, load
from gb28181.errors import Invalid

RULES = ["203.0.113.5:15060", "10.0.0.0/8 = 10.1.2.3", "10.9.0.0/16=10.9.0.1:5070", "2001:db8::/32 = [2001:db8::5]:7"]


@pytest.mark.parametrize(
    ("peer", "told"),
    [
        ("10.200.0.1", ("10.1.2.3", 0)),
        ("10.9.1.1", ("10.9.0.1", 5070)),  # the smallest network, wherever it stands in the list
        ("192.0.2.1", ("203.0.113.5", 15060)),
        ("2001:db8::99", ("2001:db8::5", 7)),
        ("2001:dead::1", ("203.0.113.5", 15060)),
        ("camera.example", ("203.0.113.5", 15060)),
    ],
)
def test_the_smallest_network_that_holds_the_peer_decides(peer: str, told: tuple[str, int]) -> None:
    rule = advertised(parse_rules(RULES), peer)
    assert rule is not None
    assert (rule.host, rule.port) == told


def test_a_peer_in_no_network_is_told_nothing_configured() -> None:
    assert advertised(parse_rules(RULES[1:]), "192.0.2.1") is None
    assert advertised(parse_rules(RULES[1:]), "camera.example") is None
    assert advertised((), "192.0.2.1") is None
    assert parse_rules(["", " "]) == ()


@pytest.mark.parametrize("text", ["10.0.0.0/8 =", "ten = 10.1.2.3", "10.0.0.0/99=10.1.2.3", "a b", "1.2.3.4:99999", "[::1"])
def test_a_rule_that_says_nothing_is_an_error(text: str) -> None:
    with pytest.raises(Invalid):
        parse_rules([text])


def test_rules_come_from_a_list_or_a_line() -> None:
    environ = {"GB28181__SIP__ADVERTISE": "10.0.0.0/8 = 10.1.2.3, 203.0.113.5", "GB28181__MEDIA__ADVERTISE": "203.0.113.6"}
    settings = load(None, environ)
    assert settings.sip.advertise == ["10.0.0.0/8 = 10.1.2.3", "203.0.113.5"]
    assert settings.media.advertise == ["203.0.113.6"]
    assert Settings().sip.advertise == []
    with pytest.raises(Invalid, match="no network"):
        load(None, {"GB28181__SIP__ADVERTISE": "net = 10.1.2.3"})
