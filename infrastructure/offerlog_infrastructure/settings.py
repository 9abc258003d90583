"""Settings from the environment; nothing else reads it (but the embedded server's `PG_BINDIR`)."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from eventsourcing.utils import strtobool
from pydantic import AliasChoices, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from offerlog_domain.rules import Rules


def _seconds(value: object) -> object:
    """A bare number is seconds."""
    if not isinstance(value, str):
        return value
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        raise ValueError(f"a number of seconds is needed, such as 900, not {value!r}") from None


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_Period = Annotated[timedelta, BeforeValidator(_seconds), Field(ge=timedelta(0), le=timedelta(days=3660))]


class Settings(BaseSettings):
    """What an operator may set; every variable begins with `OFFERLOG_` unless said.

    Attributes:
        data: The embedded store's folder (`OFFERLOG_DATA`); None for the platform's place for it.
        database_url: A PostgreSQL server to use instead of the embedded one (`OFFERLOG_DATABASE_URL`).
        organization: Whose data commands work on (`OFFERLOG_ORGANIZATION`).
        open_action_ttl: How long a silent open action blocks another (`OFFERLOG_OPEN_ACTION_TTL`, seconds).
        parking_time: How long a parked signal waits (`OFFERLOG_PARKING_TIME`, seconds).
        deadline_grace: How long after a time-out it is recorded (`OFFERLOG_DEADLINE_GRACE`, seconds).
        future_tolerance: How far ahead a signal may be (`OFFERLOG_FUTURE_TOLERANCE`, seconds).
        ready_lag: Lag of the projections past which the service is not ready (`OFFERLOG_READY_LAG`, seconds).
        read_timeout: Time that a report, list or history may take (`OFFERLOG_READ_TIMEOUT`, seconds; 0: any).
        widget_rate: Requests a second that a widget's key may make (`OFFERLOG_WIDGET_RATE`).
        log_level: From which level on the service logs (`OFFERLOG_LOG_LEVEL`).
        otel_endpoint: Where traces go (`OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone).
        otel_traces_exporter: `none` keeps traces off (`OTEL_TRACES_EXPORTER`).
        otel_sdk_disabled: `true` does so too (`OTEL_SDK_DISABLED`).
        postgres_enable_db_functions: The library's `POSTGRES_ENABLE_DB_FUNCTIONS`, read to refuse it.
    """

    model_config = SettingsConfigDict(env_prefix="OFFERLOG_", frozen=True, env_ignore_empty=True)

    data: Path | None = None
    database_url: str | None = None
    organization: str = "default"
    open_action_ttl: _Period = Rules().open_action_ttl
    parking_time: _Period = Rules().parking_time
    deadline_grace: _Period = Rules().deadline_grace
    future_tolerance: _Period = Rules().future_tolerance
    ready_lag: float = Field(default=30.0, gt=0)
    read_timeout: float = Field(default=30.0, ge=0, le=86_400)
    widget_rate: float = Field(default=100.0, gt=0)
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    otel_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    otel_traces_exporter: str = Field(default="otlp", validation_alias="OTEL_TRACES_EXPORTER")
    otel_sdk_disabled: str = Field(default="false", validation_alias="OTEL_SDK_DISABLED")
    postgres_enable_db_functions: str = Field(default="", validation_alias="POSTGRES_ENABLE_DB_FUNCTIONS")

    @field_validator("postgres_enable_db_functions")
    @classmethod
    def _stays_off(cls, value: str) -> str:
        """Refuse what `OfferlogApplication` would refuse, as a wrong setting."""
        if value and strtobool(value):
            raise ValueError("it must stay off: with it, readers of the log miss events")
        return value

    @property
    def traced(self) -> bool:
        """Whether the service sends traces: the rest of the standard variables its exporter reads itself."""
        off = self.otel_traces_exporter.lower() == "none" or self.otel_sdk_disabled.lower() == "true"
        return self.otel_endpoint is not None and not off

    @property
    def rules(self) -> Rules:
        """The periods, as the domain takes them."""
        return Rules(self.open_action_ttl, self.parking_time, self.deadline_grace, self.future_tolerance)
