"""Settings: environment or ``.env``, prefix ``PLEDGEWATCH_`` (contracts, section 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.clock import parse_clock_spec


class Settings(BaseSettings):
    """All settings with their defaults; nothing secret has a default."""

    model_config = SettingsConfigDict(env_prefix="PLEDGEWATCH_", env_file=".env", extra="ignore")

    env: Literal["development", "production"] = "development"
    data_dir: Path = Field(default=Path(".data"), description="Embedded database, broker, logs, secrets.")
    database_url: str | None = None
    postgres_port: int = Field(default=0, ge=0, le=65_535, description="Embedded PostgreSQL; 0: a free one.")
    mqtt_url: str | None = None
    mqtt_port: int = Field(default=0, ge=0, le=65_535, description="Embedded broker; 0: a free one.")
    mqtt_device_url: str | None = Field(
        default=None,
        description="The broker as devices reach it, without an account; else MQTT_URL's address.",
    )
    gateway_mqtt_url: str | None = Field(
        default=None, description="The broker with the account of gateways (JT/T 808, vendor clouds)."
    )
    mqtt_password_file: Path | None = Field(
        default=None, description="Where `pledgewatch broker sync` writes device passwords."
    )
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65_535)
    telemetry_clock: str = "wall"
    policy_pack: str = "cn-private"
    locale: Literal["zh-CN", "en"] = "zh-CN"
    timezone: str = "Asia/Shanghai"
    map_style_url: str | None = None
    map_tile_url: str | None = None
    map_tile_datum: Literal["wgs84", "gcj02", "bd09"] = "wgs84"
    map_pmtiles_url: str | None = None
    notify_urls: str = Field(default="", description="Comma-separated Apprise URLs or signed webhooks.")
    webhook_secret: SecretStr | None = None
    contacts_key: SecretStr | None = Field(default=None, description="Fernet key for contact numbers.")
    protocol_key_file: Path | None = Field(
        default=None, description="Ed25519 PEM that signs lot protocols; without it one under DATA_DIR."
    )
    market_sources: str = ""
    vendor_sources: str = Field(default="", description="Comma-separated TOML files of vendor clouds.")
    vendor_host: str = "127.0.0.1"
    vendor_port: int = Field(default=8091, ge=0, le=65_535, description="For vendors that push.")
    jt808_host: str = Field(default="127.0.0.1", description="Where the JT/T 808 gateway listens.")
    jt808_port: int = Field(default=7808, ge=0, le=65_535, description="0: a free one.")
    jt808_connections: int = Field(default=20_000, ge=1, description="Of one JT/T 808 gateway, at most.")
    jt808_metrics_port: int = Field(default=0, ge=0, le=65_535, description="Loopback; 0: no metrics.")
    ingest_slots: int = Field(default=1, ge=1, le=64)
    ingest_transport: Literal["fast", "paho"] = Field(
        default="fast", description="Who speaks MQTT for a slot: our own reader, or paho to compare with."
    )
    gap_buffer_days: float = Field(
        default=7.0, gt=0, le=365, description="How long a device keeps reports it could not send."
    )
    gap_buffer_days_by_model: dict[str, float] = Field(
        default={}, description='The same by device model, as JSON: {"KX-20": 3}.'
    )
    ingest_metrics_port: int = Field(default=0, ge=0, le=65_535, description="Loopback; 0: no metrics.")
    lot_streams_per_account: int = Field(default=2, ge=1, description="Open streams of one lot.")
    lot_streams_per_address: int = Field(
        default=256, ge=1, description="The same for visitors who are not signed in; offices share addresses."
    )
    log_json: bool = False
    test_database_url: str | None = None
    require: str = ""

    @field_validator("telemetry_clock")
    @classmethod
    def _clock_is_parseable(cls, value: str) -> str:
        parse_clock_spec(value)
        return value

    @model_validator(mode="after")
    def _production_runs_on_wall_time(self) -> Settings:
        if self.env == "production":
            if self.telemetry_clock != "wall":
                raise ValueError(
                    "PLEDGEWATCH_TELEMETRY_CLOCK: expected wall when PLEDGEWATCH_ENV=production, "
                    f"was {self.telemetry_clock!r}"
                )
            if self.policy_pack == "demo":
                raise ValueError("PLEDGEWATCH_POLICY_PACK: demo is refused when PLEDGEWATCH_ENV=production")
        return self


def load_settings() -> Settings:
    """Read the environment and ``.env``."""
    return Settings()
