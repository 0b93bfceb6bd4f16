"""Settings: one file (`conf/gb28181.toml`), each key also as environment variable `GB28181__SECTION__KEY`.

Every key is described, with unit and default, in `conf/gb28181.toml`; a test holds the two together. A key that does not
exist is an error that names the nearest one: a silent typing mistake in a recorder's configuration costs recordings.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gb28181.advertise import parse_rules
from gb28181.errors import Invalid
from gb28181.ids import domain_of
from gb28181.texts.text import reason_of, say, together

ENV_PREFIX: Final = "GB28181__"
_DECADE_S: Final = 10 * 365 * 86_400


def _listed(value: object) -> object:
    """A comma-separated string from the environment as a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _rules(value: list[str]) -> list[str]:
    try:
        parse_rules(value)
    except Invalid as error:
        raise ValueError(str(error)) from None
    return value


#: Addresses of ours that peers are told; see `advertise.py`.
_Advertise = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_rules)]


class _Section(BaseModel):
    # Infinity is no JSON: it would be lost on the way to the child processes.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SipSettings(_Section):
    host: str = "0.0.0.0"
    port: int = Field(5060, ge=0, le=65535)
    server_id: str = Field("34020000002000000001", pattern=r"^\d{20}$")
    domain: str = ""
    password: str = ""
    tls_port: int = Field(5061, ge=0, le=65535)
    tls_certificate: str = ""
    tls_private_key: str = ""
    tls_ca: str = ""
    advertise: _Advertise = Field(default_factory=list)
    user_agent: str = "gb28181"
    domain_password: bool = True
    unknown_devices: Literal["accept", "quarantine"] = "accept"
    networks: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    redirect: str = ""
    date_header: bool = True
    keepalive_policy: Literal["revive", "strict"] = "revive"
    clock_check_hours: float = Field(6, gt=0, le=24 * 365)
    keepalive_interval_s: float = Field(60, gt=0)
    keepalive_misses: int = Field(3, ge=1)
    offline_after_s: float = Field(180, gt=0)
    register_expires_s: int = Field(86400, ge=60)
    register_min_expires_s: int = Field(30, ge=0)
    nonce_ttl_s: float = Field(300, ge=5)
    wrong_passwords_before_403: int = Field(2, ge=0)
    transaction_timeout_s: float = Field(32, gt=0)
    query_timeout_s: float = Field(10, gt=0)
    nat_keepalive_s: float = Field(25, ge=0)
    max_message_bytes: int = Field(65535, ge=1500)
    max_tcp_message_bytes: int = Field(8 << 20, ge=65535)
    max_tcp_connections: int = Field(20000, ge=1)
    tcp_idle_s: float = Field(600, gt=0)
    unauthenticated_per_s: float = Field(4000, gt=0)
    per_source_per_s: float = Field(2000, gt=0)
    trace_mb: int = Field(16, ge=0, le=4096)
    per_device_per_s: float = Field(1000, gt=0)
    per_connection_per_s: float = Field(1000, gt=0)
    max_transactions: int = Field(200_000, ge=100)

    @model_validator(mode="before")
    @classmethod
    def _default_domain(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("domain"):
            data = {**data, "domain": domain_of(str(data.get("server_id", "34020000002000000001")))}
        return data


class HttpSettings(_Section):
    host: str = "0.0.0.0"
    port: int = Field(8080, ge=0, le=65535)
    certificate: str = ""
    private_key: str = ""
    device_url: str = Field("", pattern=r"^(https?://[^/?#\s]+)?$")
    token_ttl_s: int = Field(12 * 3600, ge=60, le=_DECADE_S)
    media_token_ttl_s: int = Field(3600, ge=30, le=_DECADE_S)
    login_attempts_per_minute: int = Field(10, ge=1)
    max_body_bytes: int = Field(1 << 20, ge=1024)
    requests_per_s: float = Field(100, gt=0)
    max_sessions_per_user: int = Field(100, ge=1)
    max_connections: int = Field(6000, ge=10)
    max_idle_connections_per_source: int = Field(1024, ge=8)
    request_head_s: float = Field(15, gt=0)
    request_body_s: float = Field(30, gt=0)
    keep_alive_s: float = Field(75, gt=0)
    viewer_buffer_bytes: int = Field(8 << 20, ge=1 << 16)
    max_viewers: int = Field(2000, ge=1)


class MediaSettings(_Section):
    host: str = "0.0.0.0"
    advertise: _Advertise = Field(default_factory=list)
    ports: str = Field("20000-31999", pattern=r"^\d{1,5}-\d{1,5}$")
    ingests: int = Field(0, ge=0, le=64)
    transport: Literal["auto", "udp", "tcp"] = "auto"
    tick_ms: int = Field(80, ge=5, le=500)
    watched_tick_ms: int = Field(20, ge=5, le=500)
    receive_buffer_kib: int = Field(1024, ge=64)
    reorder_ms: int = Field(200, ge=0, le=2000)
    reorder_packets: int = Field(256, ge=2, le=4096)
    silence_s: float = Field(5, gt=0)
    first_rtp_timeout_s: float = Field(10, gt=0)
    lost_after_s: float = Field(10, gt=0)
    idle_s: float = Field(15, ge=0)
    invite_timeout_s: float = Field(18, gt=0)
    rtcp_interval_s: float = Field(5, gt=0)
    port_quarantine_s: float = Field(20, ge=0)
    orphan_s: float = Field(24 * 3600, ge=0)

    @property
    def port_range(self) -> range:
        low, high = (int(part) for part in self.ports.split("-"))
        return range(low, high + 1)

    @model_validator(mode="after")
    def _check_ports(self) -> MediaSettings:
        low, high = (int(part) for part in self.ports.split("-"))
        if not 1024 <= low < high <= 65535:
            raise ValueError(f"ports {self.ports}: expected LOW-HIGH with 1024 <= LOW < HIGH <= 65535")
        return self


class RecordingSettings(_Section):
    default_mode: Literal["off", "always"] = "off"
    volumes: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    segment_seconds: float = Field(300, ge=1)
    segment_max_seconds: float = Field(360, ge=1)
    retention_hours: float = Field(360, gt=0, le=24 * 36_500)
    high_mark: float = Field(0.90, gt=0, le=1)
    low_mark: float = Field(0.88, gt=0, le=1)
    min_free_mib: int = Field(1024, ge=0)
    write_bytes: int = Field(256 << 10, ge=4096)
    write_seconds: float = Field(3, gt=0)
    sync_seconds: float = Field(5, gt=0)
    suspect_seconds: float = Field(3, gt=0)
    stall_pool_mib: int = Field(256, ge=1)
    gap_seconds: float = Field(5, gt=0)
    retry_min_s: float = Field(1, gt=0)
    retry_max_s: float = Field(30, gt=0)
    hash: Literal["sha256", "none"] = "sha256"

    @model_validator(mode="after")
    def _check(self) -> RecordingSettings:
        if self.segment_max_seconds < self.segment_seconds:
            # A shorter segment asked for by itself is meant; the cap follows in the same proportion.
            object.__setattr__(self, "segment_max_seconds", self.segment_seconds * 1.2)
        if self.low_mark > self.high_mark:
            raise ValueError(f"low_mark {self.low_mark} is above high_mark {self.high_mark}")
        roots = [Path(volume).absolute() for volume in self.volumes]
        for place, (volume, root) in enumerate(zip(self.volumes, roots, strict=True)):
            if not volume.strip():
                raise ValueError("volumes holds an empty path; leave it out, or name a folder")
            # Two writers in one folder would adopt and delete each other's files.
            if other := next(
                (known for known in roots[:place] if known == root or known in root.parents or root in known.parents), None
            ):
                raise ValueError(f"volumes {root} and {other} are one folder or lie in each other; name separate ones")
        return self


class CatalogSettings(_Section):
    refresh_hours: float = Field(24, gt=0)
    first_answer_s: float = Field(120, gt=0)
    quiet_s: float = Field(30, gt=0)
    parallel_queries: int = Field(16, ge=1)
    max_items: int = Field(200_000, ge=1)
    gone_after: int = Field(3, ge=1, le=100)


class PtzSettings(_Section):
    lease_s: float = Field(3, ge=0.5)
    max_lease_s: float = Field(15, ge=0.5)
    hold_s: float = Field(5, ge=0)
    max_lock_s: float = Field(3600, ge=1)


class SubscriptionSettings(_Section):
    catalog: bool = True
    alarm: bool = True
    mobile_position: bool = False
    ptz_position: bool = False
    expires_s: int = Field(3600, ge=30, le=86_400)
    position_interval_s: int = Field(5, ge=1, le=3600)
    per_s: float = Field(50, gt=0)
    parallel: int = Field(200, ge=1)
    retry_hours: float = Field(24, gt=0)


class AlarmSettings(_Section):
    keep_days: float = Field(90, gt=0, le=36_500)
    max_rows: int = Field(1_000_000, ge=1)
    burst: int = Field(10_000, ge=1)
    per_device_per_s: float = Field(2, gt=0)
    reset_after_s: float = Field(0, ge=0)


class PositionSettings(_Section):
    keep_days: float = Field(30, gt=0, le=36_500)
    max_rows: int = Field(10_000_000, ge=1)
    store_every_s: float = Field(1, ge=0)


class CommandSettings(_Section):
    snapshot_margin_s: float = Field(60, ge=1, le=3600)
    picture_bytes: int = Field(16 << 20, ge=64 << 10, le=256 << 20)
    pictures_mib: int = Field(1024, ge=1)
    firmware_mib: int = Field(1024, ge=1, le=65536)
    upgrade_timeout_s: float = Field(1800, ge=60, le=86400)


class AdminSettings(_Section):
    password: str = ""


class DatabaseSettings(_Section):
    url: str = ""
    flush_ms: int = Field(200, ge=1)
    keep_days: float = Field(400, ge=1, le=36_500)


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(_Section):
    """Everything that can be set, with defaults that record a district on one machine."""

    sip: SipSettings = Field(default_factory=lambda: SipSettings.model_validate({}))
    profiles: dict[str, dict[str, bool | float | str | list[str]]] = Field(default_factory=dict)
    http: HttpSettings = Field(default_factory=HttpSettings)
    media: MediaSettings = Field(default_factory=MediaSettings)
    recording: RecordingSettings = Field(default_factory=RecordingSettings)
    catalog: CatalogSettings = Field(default_factory=CatalogSettings)
    ptz: PtzSettings = Field(default_factory=PtzSettings)
    subscription: SubscriptionSettings = Field(default_factory=SubscriptionSettings)
    alarm: AlarmSettings = Field(default_factory=AlarmSettings)
    position: PositionSettings = Field(default_factory=PositionSettings)
    command: CommandSettings = Field(default_factory=CommandSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    log: LogSettings = Field(default_factory=LogSettings)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the file, lets the environment override it, and checks every key and value.

    Args:
        path: A TOML file, or None for the defaults.
        environ: Where `GB28181__…` variables come from.

    Raises:
        Invalid: One message that lists every unknown key (with the nearest known one) and every value out of range.
    """
    data: dict[str, Any] = {}
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise Invalid(say("start.config_unreadable", path=path, strerror=reason_of(error))) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Invalid(say("start.config_toml", path=path, error=error)) from None
    origin: dict[tuple[str, ...], str] = {}
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX):
            continue
        keys = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if len(keys) != 2:
            raise Invalid(say("start.environment", name=name, prefix=ENV_PREFIX))
        section = data.setdefault(keys[0], {})
        if not isinstance(section, dict):
            raise Invalid(say("start.config_section", section=keys[0]))
        section[keys[1]] = value
        origin[keys] = name
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [_explain(entry["loc"], entry["type"], entry["msg"], origin, seen=entry["input"]) for entry in error.errors()]
        raise Invalid(say("start.config", faults=together(lines))) from None


def dump(settings: Settings) -> str:
    """The settings as JSON for the processes that `serve` starts; holds passwords, so it goes through a pipe only."""
    return settings.model_dump_json()


def restore(text: str) -> Settings:
    """The settings of `dump`."""
    return Settings.model_validate(json.loads(text))


_SECRET: Final = frozenset({"password", "url"})


def _explain(
    location: tuple[int | str, ...], kind: str, message: str, origin: Mapping[tuple[str, ...], str], *, seen: object
) -> str:
    keys = tuple(str(part) for part in location)
    named = ".".join(keys)
    if keys in origin:
        named = say("start.config_origin", key=named, variable=origin[keys])
    if kind != "extra_forbidden":
        if len(keys) > 1 and not _SECRET.intersection(keys):
            message += f", not {repr(seen)[:80]}"
        return say("start.config_value", key=named, fault=message)
    if len(keys) == 1:
        known = list(Settings.model_fields)
    else:
        section = Settings.model_fields[keys[0]].annotation
        known = list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.4)
    if near:
        return say("start.config_near", key=named, near=".".join((*keys[:-1], near[0])))
    return say("start.config_unknown", key=named, known=", ".join(known))
