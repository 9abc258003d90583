"""Settings from the environment and the settings file; nothing else reads them.

Only the embedded server reads one variable itself, `PG_BINDIR`.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

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
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from offerlog_application.evidence.evidence import USUAL_PERIOD
from offerlog_application.refusals.policy import RefusalPolicy
from offerlog_application.webhooks.webhooks import KEEP_DEAD_LETTERS
from offerlog_domain.context import Rules
from offerlog_domain.errors import OfferlogError
from offerlog_infrastructure.durations import Period, read_seconds
from offerlog_infrastructure.evidence.witness_settings import WitnessList
from offerlog_infrastructure.proxy_list import ProxyList
from offerlog_infrastructure.server_address import add_password
from offerlog_infrastructure.settings_file import (
    VARIABLE,
    SettingsError,
    SettingsFile,
    read_settings_file,
)
from offerlog_infrastructure.webhooks.networks import NetworkList
from offerlog_infrastructure.worker_count import WorkerCount

_DEVELOPERS: Final = ("OFFERLOG_DEBUG", "OFFERLOG_TEST_FOLDER", "OFFERLOG_SOAK_SECONDS", "OFFERLOG_CONTRACT")
"""Variables that are read elsewhere, by people who work on offerlog."""

_PASSWORDS: Final = ("database_password", "database_password_file")
"""Two forms of one setting."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _FieldError(OfferlogError, ValueError):
    """The fault of a field, found by the validator of another field.

    Attributes:
        field: The name of the field at fault.
    """

    def __init__(self, field: str, cause: str) -> None:
        super().__init__(cause)
        self.field = field


class _FileSource(PydanticBaseSettingsSource):
    """The settings file as a source of pydantic's; without what the environment sets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the values are handed over together."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of the file by the names that pydantic reads fields under."""
        kind = self.settings_cls
        assert issubclass(kind, StoreSettings)  # noqa: S101 - the one class that has this source
        found = kind.file_settings()
        return {
            _alias_of(kind.model_fields[key], key): (
                found.resolve(value) if _is_path(kind.model_fields[key]) else value
            )
            for key in found.values
            if key in kind.model_fields
            for value in [found.text_or_number(key)]
        }


def _alias_of(field: FieldInfo, name: str) -> str:
    alias = field.validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def _is_path(field: FieldInfo) -> bool:
    return field.annotation == (Path | None)


class StoreSettings(BaseSettings):
    """Settings of the store and of what is decided: all that `open_offerlog` reads.

    A program that opens the service in its own process may use other libraries too. So no variable of theirs
    is read here. The variable of a setting is its name in capitals behind `OFFERLOG_`; its name alone is its
    key in the settings file. An environment variable wins over the file.

    Attributes:
        data: The embedded store's folder.
        database_password: The password of the server at `database_url`, not percent-encoded: `@`, `/` and `%`
            may be in it. Then the URL must not have a password.
        database_password_file: A file with that password instead, such as a container's secret. A line end at
            its end is ignored.
        database_url: A PostgreSQL server to use instead of the embedded store.
        keyring: The file with the keys that encrypt the keys of the store, outside the data folder.
        organization: The organization that commands work on: 1 to 64 letters, digits, dots, dashes,
            underscores.
        open_action_ttl: Seconds until a silent open action lapses.
        parking_time: Seconds that a parked signal waits.
        deadline_grace: Seconds from a time-out until it is recorded.
        future_tolerance: Seconds that a signal may be ahead of the clock.
        widget_max_age: Greatest age of a signal with a widget key, in seconds.
        refusal_retention: Seconds that refusals are kept; 0: for ever.
        unattributed_retention: Seconds that refusals are kept whose text does not say whose it is; 0: as long
            as the others.
        refusal_text_quota: Bytes of refused texts that are stored for an organization in a day; 0: none.
        audit_key: The file with the key that signs checkpoints, outside the data folder.
        checkpoints: A folder outside the store for checkpoints and tiles.
        checkpoint_period: Seconds between two checkpoints of a running service; 0: none.
        witnesses: Address and public key (or its file) of each witness that shall cosign them, all separated
            by spaces.
        webhook_networks: Networks to which webhooks may be sent although they are not public, separated by
            commas; there, `http` is enough.
        webhook_retention: Seconds that dead letters of webhooks are kept; 0: for ever.
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
    open_action_ttl: Period = Rules().open_action_ttl
    parking_time: Period = Rules().parking_time
    deadline_grace: Period = Rules().deadline_grace
    future_tolerance: Period = Rules().future_tolerance
    widget_max_age: Period = Rules().widget_max_age
    refusal_retention: Period = RefusalPolicy().retention
    unattributed_retention: Period = RefusalPolicy().unattributed_retention
    refusal_text_quota: int = Field(default=RefusalPolicy().text_bytes_a_day, ge=0, le=2**62)
    audit_key: Path | None = None
    checkpoints: Path | None = None
    checkpoint_period: Period = USUAL_PERIOD
    witnesses: WitnessList | None = None
    webhook_networks: NetworkList | None = None
    webhook_retention: Period = KEEP_DEAD_LETTERS

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
    def settings_customise_sources(  # noqa: D102 - pydantic's
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _FileSource(settings_cls)

    @classmethod
    def file_settings(cls) -> SettingsFile:
        """Read the settings file, without what the environment overrules.

        A data folder in the environment overrules a server in the file, and a password in the environment the
        other form of it in the file.

        Raises:
            SettingsError: The file cannot be read, or has a key that is not a setting.
        """
        found = read_settings_file(Settings.file_keys())
        if not found.values:
            return found
        overruled = {name for name in Settings.model_fields if Settings.set_by_environment(name)}
        server = {"database_url", *_PASSWORDS}
        if "data" in overruled and "database_url" not in overruled:
            overruled |= server
        if overruled & server and "database_url" in (found.values.keys() & overruled):
            overruled |= server
        if overruled & set(_PASSWORDS):
            overruled |= set(_PASSWORDS)
        return SettingsFile(
            found.path, {key: value for key, value in found.values.items() if key not in overruled}
        )

    @classmethod
    def set_by_environment(cls, name: str) -> str | None:
        """Return the environment variable that sets a field; None if none does."""
        given = EnvSettingsSource(cls).env_vars
        return next((one for one in cls.variables_of(name) if one.lower() in given), None)

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
        return cls.set_by_environment(place) or cls.variables_of(place)[0]

    @property
    def refusal_policy(self) -> RefusalPolicy:
        """The retention of the refusal log and its quota of texts."""
        return RefusalPolicy(self.refusal_retention, self.refusal_text_quota, self.unattributed_retention)

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
    """All settings, for the server and the commands.

    The variable of `trusted_proxies` may also be uvicorn's. Some variables belong to OpenTelemetry and the
    eventsourcing library: these cannot be set in the settings file.

    Attributes:
        admin_key_file: New file for the admin key of a first start.
        ready_lag: Seconds of lag of the projections above which `/readyz` says that the service is not ready.
        read_timeout: Seconds that a report, list or history of the HTTP service may take; 0: no limit.
        widget_rate: Requests a second with one widget key.
        widget_peer_rate: Requests a second with one widget key from one address.
        keep_alive: Seconds for which an idle HTTP connection stays open.
        max_connections: HTTP connections in total.
        max_connections_per_peer: HTTP connections of one address.
        trusted_proxies: Addresses and networks of reverse proxies, separated by commas, whose
            `X-Forwarded-For` and `X-Forwarded-Proto` are believed; `*` for every peer.
        widget_new_maps: New action maps an hour in signals with widget keys, for one organization.
        workers: Processes of `serve` that answer HTTP, 1 to 64; `auto` for one a core.
        log_level: The lowest level that `serve` logs: `debug`, `info`, `warning`, `error`.
        log_format: The form of the log of `serve`: `pretty` for people, `json` for programs, `auto` for
            `pretty` on a terminal and `json` elsewhere.
        otel_endpoint: Where `serve` sends traces, with the extra `otel`.
        otel_traces_exporter: `none` keeps traces off.
        otel_sdk_disabled: `true` keeps traces off.
        postgres_enable_db_functions: A setting of the eventsourcing library that must stay off: with it,
            readers of the log miss events.
    """

    admin_key_file: Path | None = None
    ready_lag: Annotated[float, BeforeValidator(read_seconds)] = Field(default=30.0, gt=0)
    read_timeout: Annotated[float, BeforeValidator(read_seconds)] = Field(default=30.0, ge=0, le=86_400)
    widget_rate: float = Field(default=100.0, gt=0)
    widget_peer_rate: float = Field(default=10.0, gt=0)
    keep_alive: int = Field(default=75, ge=1, le=3600)
    max_connections: int | None = Field(default=None, ge=1)
    max_connections_per_peer: int = Field(default=100, ge=1)
    trusted_proxies: ProxyList = Field(
        default="127.0.0.1,::1",
        validation_alias=AliasChoices("OFFERLOG_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS"),
    )
    widget_new_maps: int = Field(default=100, ge=1)
    workers: WorkerCount = 1
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    log_format: Annotated[Literal["auto", "json", "pretty"], BeforeValidator(_lower)] = "auto"
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

    @classmethod
    def variables(cls) -> list[str]:
        """List the variables of offerlog's own that are read."""
        names = (name for field in cls.model_fields for name in cls.variables_of(field))
        return [VARIABLE, *(name for name in names if name.startswith("OFFERLOG_"))]

    @classmethod
    def file_keys(cls) -> list[str]:
        """List the keys of the settings file: the settings that are not a variable of another library."""
        return [name for name in cls.model_fields if cls.variables_of(name)[0].startswith("OFFERLOG_")]

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
    """Read the settings of the store from the environment and the settings file, and nothing else from there.

    Raises:
        SettingsError: A setting has a value that it cannot have, or the file cannot be used.
    """
    return _read(StoreSettings)


def read_settings() -> Settings:
    """Read all settings from the environment and the settings file.

    Raises:
        SettingsError: A setting has a value that it cannot have, or the file cannot be used.
    """
    return _read(Settings)


def _read(kind: type[_Kind]) -> _Kind:
    """Read settings; report the first wrong one under the variable that is set, or its key in the file."""
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
        key = _field_of(kind, place)
        found = kind.file_settings()
        if key in found.values:
            raise SettingsError(key, cause, found.path) from None
        raise SettingsError(kind.variable_set(place), cause) from None


def _field_of(kind: type[StoreSettings], place: str) -> str:
    """Return the name of the field that pydantic reports under its name or an alias."""
    return next(name for name in kind.model_fields if place == name or place in kind.variables_of(name))
