"""What a simulated device is told: one frozen value shared by all devices of a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gb28181.errors import Invalid
from gb28181.ids import domain_of
from gb28181.sim.edition import EDITIONS
from gb28181.sim.encoder import Picture
from gb28181.sim.source import PsFile
from gb28181.sim.transactions import Timers


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Behaviour of a device.

    Args:
        host: Server's address.
        port: Server's SIP port.
        server_id: Server's 20-digit code.
        domain: SIP domain, "" for the first ten digits of `server_id`.
        password: For the digest; "" registers without an answer to the challenge.
        transport: Of SIP.
        media: What an offer may ask for; `auto` takes both.
        keepalive_s: Seconds between keepalives; the third that is not answered in a row means a new registration.
        expires_s: Lifetime asked for.
        retry_s: Seconds to wait after a failed registration; up to a fifth more by chance.
        picture: What is encoded.
        audio: Whether the tone is sent.
        loss: Share of RTP packets left out on UDP.
        reorder: Share of RTP packets overtaken by their successor on UDP.
        seed: Makes loss, order and first sequence numbers repeatable.
        local_ip: Address to bind and to tell, "" for the one with a route to the server.
        streams_per_channel: Further INVITEs get 486.
        items_per_message: Channels in one message of a catalogue answer.
        rtcp_strict_s: Sends BYE when no receiver report came for so long; None never asks (quirk Q112).
        answer_delay_s: Time that the camera takes to answer an INVITE.
        ps_file: Sent instead of the picture, byte for byte.
        once: Sends the file once and then BYE.
        timers: SIP's T1 and T2.
        edition: `2011`, `2016` or `2022`.
        dialects: Names of ways in which the device leaves the standard; `dialects/table.py` has them.
        recorded_hours: How far back the device's own recordings go, 0 for none.
        alarms_per_minute: Alarms that a device makes by itself.
        positions_every_s: Seconds between position reports that nobody subscribed to, 0 for none.
        catalog_changes_per_minute: Channels that go, come, change or fail.
        nat_hole_s: Seconds after the last packet in either direction when a NAT before the device lets nothing in any more.
    """

    host: str = "127.0.0.1"
    port: int = 5060
    server_id: str = "34020000002000000001"
    domain: str = ""
    password: str = ""
    transport: Literal["udp", "tcp"] = "udp"
    media: Literal["auto", "udp", "tcp"] = "auto"
    keepalive_s: float = 60.0
    expires_s: int = 86_400
    retry_s: float = 60.0
    picture: Picture = field(default_factory=Picture)
    audio: bool = True
    loss: float = 0.0
    reorder: float = 0.0
    seed: str = "0"
    local_ip: str = ""
    streams_per_channel: int = 2
    items_per_message: int = 2
    rtcp_strict_s: float | None = None
    answer_delay_s: float = 0.0
    ps_file: PsFile | None = None
    once: bool = False
    timers: Timers = field(default_factory=Timers)
    edition: str = "2022"
    dialects: tuple[str, ...] = ()
    recorded_hours: float = 0.0
    alarms_per_minute: float = 0.0
    positions_every_s: float = 0.0
    catalog_changes_per_minute: float = 0.0
    nat_hole_s: float | None = None

    def __post_init__(self) -> None:
        for name, share in (("loss", self.loss), ("reorder", self.reorder)):
            if not 0 <= share < 1:
                raise Invalid(f"{name} {share} is not in 0..1")
        for name, seconds in (("keepalive", self.keepalive_s), ("expires", self.expires_s), ("retry", self.retry_s)):
            if seconds <= 0:
                raise Invalid(f"{name} {seconds} s is not above 0")
        if self.edition not in EDITIONS:
            raise Invalid(f"edition {self.edition!r} is none of {', '.join(EDITIONS)}")
        for name, amount in (
            ("recorded hours", self.recorded_hours),
            ("alarms per minute", self.alarms_per_minute),
            ("positions every", self.positions_every_s),
            ("catalogue changes per minute", self.catalog_changes_per_minute),
        ):
            if not 0 <= amount <= 6000:
                raise Invalid(f"{name} {amount:g} is not in 0..6000")
        if self.items_per_message < 1 or self.streams_per_channel < 1:
            raise Invalid("items per message and streams per channel are at least 1")

    @property
    def sip_domain(self) -> str:
        """Domain that stands in From, To and the Request-URI."""
        return self.domain or domain_of(self.server_id)
