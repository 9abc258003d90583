"""Settings from the environment; nothing else reads it (but the embedded server's `PG_BINDIR`)."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from eventsourcing.utils import strtobool
from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_domain.context import Rules
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.server_address import add_password

_DEVELOPERS: Final = ("OFFERLOG_DEBUG", "OFFERLOG_TEST_FOLDER", "OFFERLOG_SOAK_SECONDS", "OFFERLOG_CONTRACT")
"""Variables that are read elsewhere, by people who work on offerlog."""


_UNITS: Final = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
"""Seconds in each unit of time that a setting may name."""


def _seconds(value: object) -> object:
    """Read a number of seconds, or a number with a unit: `900`, `15m`, `1.5 h`, `30d`."""
    if not isinstance(value, str):
        return value
    number = value.strip().rstrip("dhimnsw")
    unit = value.strip().removeprefix(number)
    try:
        return float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        raise ValueError(f"a number of seconds is needed, such as 900 or 15m, not {value!r}") from None


def _period(value: object) -> object:
    """As `_seconds`, as a period."""
    try:
        seconds = _seconds(value)
        return timedelta(seconds=seconds) if isinstance(seconds, float) else seconds
    except OverflowError:
        raise ValueError(f"a number of seconds is needed, such as 900 or 15m, not {value!r}") from None


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_Period = Annotated[timedelta, BeforeValidator(_period), Field(ge=timedelta(0), le=timedelta(days=3660))]


class SettingsError(OfferlogError, ValueError):
    """An environment variable has a value that it cannot have.

    Attributes:
        variable: The name of the variable.
        cause: What is wrong with its value.
    """

    def __init__(self, variable: str, cause: str) -> None:
        super().__init__(f"the environment variable {variable}: {cause}")
        self.variable = variable
        self.cause = cause


class _FieldError(OfferlogError, ValueError):
    """The fault of a field, found by the validator of another field.

    Attributes:
        field: The name of the field at fault.
    """

    def __init__(self, field: str, cause: str) -> None:
        super().__init__(cause)
        self.field = field


class StoreSettings(BaseSettings):
    """Settings of the store and of what is decided: all that `open_offerlog` reads.

    A program that opens the service in its own process may use other libraries too. So no variable of theirs
    is read here. Every variable begins with `OFFERLOG_`.

    Attributes:
        data: The embedded store's folder (`OFFERLOG_DATA`); None for the platform's place for it.
        database_password: Password of the server at `database_url`, verbatim (`OFFERLOG_DATABASE_PASSWORD`).
        database_password_file: A file with that password instead (`OFFERLOG_DATABASE_PASSWORD_FILE`).
        database_url: A PostgreSQL server to use instead of the embedded one (`OFFERLOG_DATABASE_URL`); with
            the password, if one of the two above gives it.
        keyring: The file with the keys that encrypt the keys of the store (`OFFERLOG_KEYRING`); None for the
            platform's place for settings.
        organization: Whose data commands work on (`OFFERLOG_ORGANIZATION`).
        open_action_ttl: How long a silent open action blocks another (`OFFERLOG_OPEN_ACTION_TTL`, seconds).
        parking_time: How long a parked signal waits (`OFFERLOG_PARKING_TIME`, seconds).
        deadline_grace: How long after a time-out it is recorded (`OFFERLOG_DEADLINE_GRACE`, seconds).
        future_tolerance: How far ahead a signal may be (`OFFERLOG_FUTURE_TOLERANCE`, seconds).
        widget_max_age: How old a signal from a widget key may be (`OFFERLOG_WIDGET_MAX_AGE`, seconds).
        refusal_retention: How long a refusal is kept (`OFFERLOG_REFUSAL_RETENTION`, seconds; 0: for ever).
        refusal_text_quota: Bytes of refused texts that are kept of an organization in a day
            (`OFFERLOG_REFUSAL_TEXT_QUOTA`).
    """

    model_config = SettingsConfigDict(
        env_prefix="OFFERLOG_", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    data: Path | None = None
    database_password: SecretStr | None = None
    database_password_file: Path | None = None
    database_url: str | None = Field(default=None, validate_default=True)  # behind what its validator reads
    keyring: Path | None = None
    organization: str = "default"
    open_action_ttl: _Period = Rules().open_action_ttl
    parking_time: _Period = Rules().parking_time
    deadline_grace: _Period = Rules().deadline_grace
    future_tolerance: _Period = Rules().future_tolerance
    widget_max_age: _Period = Rules().widget_max_age
    refusal_retention: _Period = RefusalPolicy().retention
    refusal_text_quota: int = Field(default=RefusalPolicy().text_bytes_a_day, ge=0, le=2**62)

    @field_validator("database_url")
    @classmethod
    def _with_password(cls, url: str | None, given: ValidationInfo) -> str | None:
        """Complete the address, so that no password has to be quoted for a URL."""
        password: SecretStr | None = given.data.get("database_password")
        file: Path | None = given.data.get("database_password_file")
        if password is None and file is None:
            return url
        if url is None:
            raise ValueError("it is needed: OFFERLOG_DATABASE_PASSWORD is set, or the _FILE")
        if password is not None and file is not None:
            raise _FieldError("database_password_file", "give it or OFFERLOG_DATABASE_PASSWORD, not both")
        if file is None:
            return add_password(url, password.get_secret_value() if password else "")
        try:
            return add_password(url, file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r"))
        except OSError as error:
            raise _FieldError("database_password_file", f"{file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise _FieldError("database_password_file", f"{file} is not text in UTF-8") from None

    @classmethod
    def variables_of(cls, place: str) -> tuple[str, ...]:
        """List the variables that set one field; the first that is set counts.

        Args:
            place: The field's name, or the first of its aliases: pydantic reports errors under either.
        """
        for name, field in cls.model_fields.items():
            alias = field.validation_alias
            choices = (
                alias.choices if isinstance(alias, AliasChoices) else [alias or f"OFFERLOG_{name.upper()}"]
            )
            names = tuple(one for one in choices if isinstance(one, str))
            if place in {name, *names}:
                return names
        raise LookupError(f"no setting is called {place}")

    @classmethod
    def variable_set(cls, place: str) -> str:
        """Name the variable that a field has its value from; the first of its variables if none is set.

        Args:
            place: As in `variables_of`.
        """
        names, given = cls.variables_of(place), EnvSettingsSource(cls).env_vars
        return next((name for name in names if name.lower() in given), names[0])

    @property
    def refusal_policy(self) -> RefusalPolicy:
        """The retention of the refusal log and its quota of texts."""
        return RefusalPolicy(self.refusal_retention, self.refusal_text_quota)

    @property
    def rules(self) -> Rules:
        """The periods, as the domain takes them."""
        return Rules(
            self.open_action_ttl,
            self.parking_time,
            self.deadline_grace,
            self.future_tolerance,
            self.widget_max_age,
        )


class Settings(StoreSettings):
    """All settings, for the server and the commands; variables begin with `OFFERLOG_` unless said.

    Attributes:
        admin_key_file: New file for the admin key of a first start (`OFFERLOG_ADMIN_KEY_FILE`); None for the
            terminal, or a file in the data folder where there is no terminal.
        ready_lag: Lag of the projections past which the service is not ready (`OFFERLOG_READY_LAG`, seconds).
        read_timeout: Time that a report, list or history may take (`OFFERLOG_READ_TIMEOUT`, seconds; 0: any).
        widget_rate: Requests a second that a widget's key may make (`OFFERLOG_WIDGET_RATE`).
        widget_peer_rate: Requests a second that one peer address may make with a widget's key
            (`OFFERLOG_WIDGET_PEER_RATE`).
        keep_alive: How long a connection stays open between two requests (`OFFERLOG_KEEP_ALIVE`, seconds).
        max_connections: Most connections to the HTTP service at once (`OFFERLOG_MAX_CONNECTIONS`); None for
            as many as the limit of open files allows.
        max_connections_per_peer: Most of them from one address (`OFFERLOG_MAX_CONNECTIONS_PER_PEER`).
        trusted_proxies: Addresses and networks of reverse proxies whose `X-Forwarded-For` and `-Proto` are
            believed, separated by commas (`OFFERLOG_TRUSTED_PROXIES`, or uvicorn's `FORWARDED_ALLOW_IPS`).
        widget_new_maps: Action maps that widget keys may bring up in an organization, an hour
            (`OFFERLOG_WIDGET_NEW_MAPS`).
        log_level: From which level on the service logs (`OFFERLOG_LOG_LEVEL`).
        otel_endpoint: Where traces go (`OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone).
        otel_traces_exporter: `none` keeps traces off (`OTEL_TRACES_EXPORTER`).
        otel_sdk_disabled: `true` does so too (`OTEL_SDK_DISABLED`).
        postgres_enable_db_functions: The library's `POSTGRES_ENABLE_DB_FUNCTIONS`, read to refuse it.
    """

    admin_key_file: Path | None = None
    ready_lag: Annotated[float, BeforeValidator(_seconds)] = Field(default=30.0, gt=0)
    read_timeout: Annotated[float, BeforeValidator(_seconds)] = Field(default=30.0, ge=0, le=86_400)
    widget_rate: float = Field(default=100.0, gt=0)
    widget_peer_rate: float = Field(default=10.0, gt=0)
    keep_alive: int = Field(default=75, ge=1, le=3600)
    max_connections: int | None = Field(default=None, ge=1)
    max_connections_per_peer: int = Field(default=100, ge=1)
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        validation_alias=AliasChoices("OFFERLOG_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS"),
    )
    widget_new_maps: int = Field(default=100, ge=1)
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

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        """Refuse what is neither an address nor a network: it would be trusted never, and silently."""
        named = [one for one in (part.strip() for part in value.split(",")) if one]
        if "*" in named and len(named) > 1:
            raise ValueError("give * alone, for every peer, or addresses and networks")
        for one in named:
            if one != "*":
                ip_network(one)
        return value

    @classmethod
    def variables(cls) -> list[str]:
        """List the variables of offerlog's own that are read."""
        names = (name for field in cls.model_fields for name in cls.variables_of(field))
        return [name for name in names if name.startswith("OFFERLOG_")]

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """List the variables in the environment that begin with `OFFERLOG_` and that nothing reads."""
        given = {name.upper() for name in EnvSettingsSource(cls).env_vars if name.startswith("offerlog_")}
        return sorted(given - {*cls.variables(), *_DEVELOPERS})

    @property
    def traced(self) -> bool:
        """True if the service sends traces: the rest of the standard variables its exporter reads itself."""
        off = self.otel_traces_exporter.lower() == "none" or self.otel_sdk_disabled.lower() == "true"
        return self.otel_endpoint is not None and not off


_Kind = TypeVar("_Kind", bound=StoreSettings)


def read_store_settings() -> StoreSettings:
    """Read the settings of the store from the environment, and nothing else from there.

    Raises:
        SettingsError: A variable has a value that it cannot have.
    """
    return _read(StoreSettings)


def read_settings() -> Settings:
    """Read all settings from the environment.

    Raises:
        SettingsError: A variable has a value that it cannot have.
    """
    return _read(Settings)


def _read(kind: type[_Kind]) -> _Kind:
    """Read settings; report the first wrong one under the variable that is set."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place, cause = str(first["loc"][0]), first["msg"]
        raised = first.get("ctx", {}).get("error")
        if isinstance(raised, ValueError):  # by a validator: pydantic puts words before its message
            place, cause = getattr(raised, "field", place), str(raised)
        elif place in kind.model_fields and kind.model_fields[place].annotation is timedelta:
            cause = "0 to 316224000 seconds (ten years) are needed"
        raise SettingsError(kind.variable_set(place), cause) from None
