"""The password of a server of one's own, beside its address: taken as it is, and shown nowhere."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from offerlog_infrastructure.composition import open_offerlog
from offerlog_infrastructure.settings import Settings
from support.superuser import superuser

HARD = "p@ss/w%rd: 'x\" \\ $HOME #?&=ü"
URL = "postgresql://offerlog@store:5433/offerlog"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests."""
    for name in ("URL", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.delenv(f"OFFERLOG_DATABASE_{name}", raising=False)


def set_database(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Set `OFFERLOG_DATABASE_...`."""
    for name, value in values.items():
        monkeypatch.setenv(f"OFFERLOG_DATABASE_{name.upper()}", value)


@pytest.mark.parametrize("password", [HARD, "100%", "@", " spaced ", "a/b:c"])
def test_any_password_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    """Nothing has to be quoted."""
    set_database(monkeypatch, url=URL, password=password)
    found = Settings()
    assert found.database_url is not None
    assert conninfo_to_dict(found.database_url) == {
        "user": "offerlog", "host": "store", "port": "5433", "dbname": "offerlog", "password": password,
    }  # fmt: skip


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_it_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str) -> None:
    """As containers are given secrets; an editor's line end is not part of it."""
    (tmp_path / "password").write_bytes((HARD + end).encode())
    set_database(monkeypatch, url=URL, password_file=str(tmp_path / "password"))
    assert conninfo_to_dict(Settings().database_url or "")["password"] == HARD


def test_the_store_opens_with_it(monkeypatch: pytest.MonkeyPatch, dsn: str) -> None:
    """A real server asks for a password that no URL could hold unquoted."""
    # given
    parts = conninfo_to_dict(dsn)
    name = f"role_{parts['dbname']}"
    with psycopg.connect(superuser(dsn), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(HARD))
        )
        connection.execute(sql.SQL("GRANT offerlog_service TO {}").format(sql.Identifier(name)))
    try:
        address = f"host={parts['host']} port={parts['port']} dbname={parts['dbname']} user={name}"
        set_database(monkeypatch, url=address, password=HARD)
        # when
        with open_offerlog(database_url=Settings().database_url, keep_deadlines=False) as service:
            # then
            assert service.record([]).outcomes == ()
        set_database(monkeypatch, password=HARD[:-1])
        with pytest.raises(Exception, match="password authentication failed"):
            open_offerlog(database_url=Settings().database_url, keep_deadlines=False)
    finally:
        with psycopg.connect(superuser(dsn), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"password": "hush"}, "it is needed"),
        ({"url": URL, "password": "hush", "password_file": "/x"}, "not both"),
        ({"url": "postgresql://u:hush@h/d", "password": "hush"}, "has a password already"),
        ({"url": URL, "password_file": "/no/such"}, "/no/such: No such file or directory"),
        ({"url": URL, "password_file": "/dev/null"}, "the password given beside it is empty"),
    ],
)
def test_what_cannot_be_meant_is_an_error(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], why: str
) -> None:
    """It says what to do, and shows no password."""
    set_database(monkeypatch, **values)
    with pytest.raises(ValidationError, match=why) as raised:
        Settings()
    assert "hush" not in str(raised.value)


def test_an_address_that_cannot_be_read_stays_for_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says what is wrong with it."""
    set_database(monkeypatch, url="nonsense", password=HARD)
    assert Settings().database_url == "nonsense"
