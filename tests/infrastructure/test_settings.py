"""A wrong setting is reported under the variable that is set."""

import os

import pytest

from offerlog_infrastructure.settings import Settings, StoreSettings, read_settings
from offerlog_infrastructure.settings_file import SettingsError

WRONG = {
    "database_password": "without an address",
    "database_password_file": "/no/such",
    "trusted_proxies": "unix:/run/x.sock",
    "log_level": "loud",
    "postgres_enable_db_functions": "y",
}
"""Values that are refused, where a word is not."""

ANY_TEXT = {
    "data", "database_url", "keyring", "organization", "admin_key_file",
    "otel_endpoint", "otel_traces_exporter", "otel_sdk_disabled", "audit_key", "checkpoints",
}  # fmt: skip
"""Fields that refuse no text: what it names is looked at later."""

EVERY = [(field, variable) for field in Settings.model_fields for variable in Settings.variables_of(field)]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests."""
    known = {variable for _, variable in EVERY}
    for name in list(os.environ):
        if name.upper() in known:
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("field", "variable"), EVERY)
def test_every_field_knows_the_variable_that_sets_it(
    monkeypatch: pytest.MonkeyPatch, field: str, variable: str
) -> None:
    """Whichever of its aliases that is, and in capitals however it is written."""
    # given
    monkeypatch.setenv(variable.lower(), "x")
    # then
    assert Settings.variable_set(field) == variable
    assert Settings.variable_set(Settings.variables_of(field)[0]) == variable


@pytest.mark.parametrize(("field", "variable"), [one for one in EVERY if one[0] not in ANY_TEXT])
def test_a_wrong_value_of_any_field_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, field: str, variable: str
) -> None:
    """In the error and in its text, which the command prints."""
    # given
    monkeypatch.setenv(variable, WRONG.get(field, "nonsense"))
    # when
    with pytest.raises(SettingsError) as raised:
        read_settings()
    # then a password without an address is a missing address
    named = "OFFERLOG_DATABASE_URL" if field.startswith("database_") else variable
    assert raised.value.variable == named
    assert str(raised.value).startswith(f"the environment variable {named}: ")


@pytest.mark.parametrize(
    ("password", "file", "cause"),
    [
        (None, "/no/such", "/no/such: No such file or directory"),
        ("hush", "/no/such", "give it or OFFERLOG_DATABASE_PASSWORD, not both"),
        (None, "/dev/null/password", "/dev/null/password: Not a directory"),
    ],
)
def test_a_wrong_password_file_is_the_fault_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, password: str | None, file: str, cause: str
) -> None:
    """Not of the address beside it; the text begins with the cause."""
    monkeypatch.setenv("OFFERLOG_DATABASE_URL", "postgresql://offerlog@store/offerlog")
    monkeypatch.setenv("OFFERLOG_DATABASE_PASSWORD_FILE", file)
    monkeypatch.setenv("OFFERLOG_DATABASE_PASSWORD", password or "")
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert (raised.value.variable, raised.value.cause) == ("OFFERLOG_DATABASE_PASSWORD_FILE", cause)


@pytest.mark.parametrize(
    ("variable", "value", "cause"),
    [
        ("OFFERLOG_PARKING_TIME", "-1", "0 to 316224000 seconds (ten years) are needed"),
        ("OFFERLOG_PARKING_TIME", "x", "a number of seconds is needed, such as 900 or 15m, not 'x'"),
        ("OFFERLOG_TRUSTED_PROXIES", "x", "'x' does not appear to be an IPv4 or IPv6 network"),
        ("OFFERLOG_WIDGET_RATE", "0", "Input should be greater than 0"),
    ],
)
def test_the_cause_is_a_sentence_without_words_of_the_library(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, cause: str
) -> None:
    """Whoever found the fault: a validator, a bound, or the library."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert (raised.value.variable, raised.value.cause) == (variable, cause)


def test_of_two_aliases_the_one_that_counts_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is not set."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "nonsense")
    for value, named in (("", "FORWARDED_ALLOW_IPS"), ("rubbish", "OFFERLOG_TRUSTED_PROXIES")):
        monkeypatch.setenv("OFFERLOG_TRUSTED_PROXIES", value)
        with pytest.raises(SettingsError) as raised:
            read_settings()
        assert raised.value.variable == named


def test_the_store_has_no_variable_that_belongs_to_another_program() -> None:
    """So nothing that is set for another library can stop a program that opens the log."""
    for field in StoreSettings.model_fields:
        assert all(name.startswith("OFFERLOG_") for name in StoreSettings.variables_of(field))
