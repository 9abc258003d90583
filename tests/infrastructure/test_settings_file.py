"""The settings file: below the environment and above the defaults, and every mistake in it is named."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from offerlog import SettingsError, StoreMissingError, open_offerlog
from offerlog_infrastructure.cli.settings_list import MASK, ListedSetting, SettingOrigin, list_settings
from offerlog_infrastructure.settings import Settings, read_settings
from offerlog_infrastructure.settings_file import default_settings_file, settings_file

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the usual file of a user who has set no variable."""
    for field in Settings.model_fields:
        for variable in Settings.variables_of(field):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("OFFERLOG_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "offerlog" / "config.toml"
    file.parent.mkdir()

    def write_text(text: str) -> Path:
        file.write_text(text, encoding="utf-8")
        return file

    return write_text


def listed(name: str, **options: str) -> ListedSetting:
    """One setting as `offerlog config` shows it."""
    return next(one for one in list_settings(options) if one.name == name)


def test_option_environment_file_and_default_win_in_this_order(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list names the place that each value comes from."""
    # given
    file = write('organization = "shop"\nparking_time = "20m"\nkeep_alive = 80\ndata = "store"\n')
    monkeypatch.setenv("OFFERLOG_ORGANIZATION", "acme")
    # when
    found = read_settings()
    # then
    assert (found.organization, found.parking_time, found.keep_alive) == ("acme", timedelta(minutes=20), 80)
    assert found.data == file.parent / "store"
    assert listed("organization", organization="x") == ListedSetting(
        "organization", "x", SettingOrigin.OPTION, "--organization"
    )
    assert listed("organization") == ListedSetting(
        "organization", "acme", SettingOrigin.ENVIRONMENT, "OFFERLOG_ORGANIZATION"
    )
    assert listed("parking_time") == ListedSetting("parking_time", 1200, SettingOrigin.FILE, str(file))
    assert listed("deadline_grace") == ListedSetting("deadline_grace", 900, SettingOrigin.DEFAULT, None)
    # and an empty variable is not set
    monkeypatch.setenv("OFFERLOG_ORGANIZATION", "")
    assert read_settings().organization == "shop"


@pytest.mark.parametrize(
    ("text", "variable", "value", "url", "data"),
    [
        ('database_url = "postgresql://a@h/x"\n', "OFFERLOG_DATA", "/store", None, "/store"),
        ('database_url = "postgresql://a@h/x"\n', "OFFERLOG_ORGANIZATION", "x", "postgresql://a@h/x", None),
        ('data = "/store"\n', "OFFERLOG_DATABASE_URL", "postgresql://b@h/x", "postgresql://b@h/x", "/store"),
        (
            'database_url = "postgresql://a@h/x"\ndatabase_password = "p"\n',
            "OFFERLOG_DATABASE_URL",
            "postgresql://b@h/x",
            "postgresql://b@h/x",
            None,
        ),
    ],
)
def test_a_variable_wins_where_it_does_the_same_as_another_key(
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    *,
    text: str,
    variable: str,
    value: str,
    url: str | None,
    data: str | None,
) -> None:
    """A store of the environment is not mixed with one of the file."""
    write(text)
    monkeypatch.setenv(variable, value)
    found = read_settings()
    assert (found.database_url, found.data) == (url, None if data is None else Path(data))


def test_a_password_of_the_environment_wins_over_both_forms_in_the_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And completes the address of the file; the list shows neither."""
    (tmp_path / "secret").write_text("of the file", encoding="utf-8")
    write('database_url = "postgresql://a@h/x"\ndatabase_password_file = "../secret"\n')
    assert "of the file" in (read_settings().database_url or "")
    monkeypatch.setenv("OFFERLOG_DATABASE_PASSWORD", "hush")
    assert "hush" in (read_settings().database_url or "")
    for name in ("database_url", "database_password"):
        assert MASK in str(listed(name).value)
    assert "hush" not in repr(list_settings({}))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hush@h/x",
        "postgresql://u:hu/s@hush@h:5432/x",
        "postgresql://h/x?password=hush&sslmode=require",
        "host=h password='hu\\'s hush' dbname=x",
        "host=h password = hush",
    ],
)
def test_no_form_of_an_address_shows_its_password(
    write: Write, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Readable for libpq or not."""
    write("")
    monkeypatch.setenv("OFFERLOG_DATABASE_URL", url)
    shown = str(listed("database_url").value)
    assert MASK in shown
    assert "hush" not in shown
    assert "h" in shown


@pytest.mark.parametrize(
    ("text", "key", "cause"),
    [
        ("parkingtime = 1\n", "parkingtime", "there is no such setting; did you mean parking_time?"),
        ('OFFERLOG_DATA = "x"\n', "OFFERLOG_DATA", "there is no such setting; did you mean data?"),
        ("[store]\nx = 1\n", "store", "there is no such setting; `offerlog config` lists all settings"),
        ('otel_endpoint = "x"\n', "otel_endpoint", "there is no such setting"),
        ('parking_time = "soon"\n', "parking_time", "a number of seconds is needed"),
        ("parking_time = -1\n", "parking_time", "0 to 316224000 seconds (ten years) are needed"),
        ("parking_time = 2026-01-01\n", "parking_time", "text or a number is needed"),
        ('log_level = "loud"\n', "log_level", "Input should be 'debug'"),
        ('trusted_proxies = ["10.0.0.0/8", "x"]\n', "trusted_proxies", "'x' does not appear to be"),
        ("data\n", "", "it is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_one_error_that_names_file_and_key(
    write: Write, text: str, key: str, cause: str
) -> None:
    """As a wrong variable is named."""
    file = write(text)
    with pytest.raises(SettingsError) as raised:
        read_settings()
    assert (raised.value.file, raised.value.variable) == (file, key)
    assert raised.value.cause.startswith(cause)
    assert str(raised.value).startswith(f"the settings file {file}: {key}")


def test_open_offerlog_reads_the_file_and_keys_of_the_server_do_not_hinder_it(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it reads the environment; another file is named by the variable, or by the block."""
    # given a usual file, and two others
    write('data = "none"\nkeep_alive = 80\n')
    other, third = tmp_path / "other.toml", tmp_path / "third.toml"
    other.write_text('data = "elsewhere"\n', encoding="utf-8")
    third.write_text('data = "third"\n', encoding="utf-8")
    # then
    with pytest.raises(StoreMissingError) as raised:
        open_offerlog(create=False)
    assert raised.value.where == str(tmp_path / "offerlog" / "none")
    monkeypatch.setenv("OFFERLOG_CONFIG", str(other))
    assert read_settings().data == tmp_path / "elsewhere"
    with settings_file(third):
        assert read_settings().data == tmp_path / "third"
    # and one that is named must be there
    monkeypatch.setenv("OFFERLOG_CONFIG", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="gone: No such file or directory"):
        read_settings()


def test_the_usual_file_is_beside_the_keyring_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in the user's settings for everybody else."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_settings_file() == Path("/etc/offerlog/config.toml")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/anna")
    assert default_settings_file() == Path("/home/anna/.config/offerlog/config.toml")
