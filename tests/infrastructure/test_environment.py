"""`open_offerlog` reads the environment as the command does, and arguments win."""

from datetime import timedelta
from pathlib import Path

import pytest

from offerlog import Offerlog, Rules, SettingsError, StoreMissingError, open_offerlog

MAP = "00000000-0000-4000-8000-000000000001"


def make_offer(service: Offerlog) -> None:
    """Ask for an offer to the one visitor of these tests."""
    service.offer(customer_id="visitor-1", action_map_id=MAP, session_id=MAP)


def test_without_arguments_it_opens_what_the_command_opens(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store, organization and periods come from the environment."""
    # given what an operator has set for the command, and a log with an offer in it
    monkeypatch.setenv("OFFERLOG_DATABASE_URL", dsn)
    monkeypatch.setenv("OFFERLOG_ORGANIZATION", "acme")
    monkeypatch.setenv("OFFERLOG_OPEN_ACTION_TTL", "0")
    with open_offerlog(database_url=dsn, organization="acme") as service:
        make_offer(service)
    # when it is opened without arguments
    with open_offerlog() as service:
        # then it is the same log and organization, and a silent open action blocks nothing any more
        assert service.organization == "acme"
        assert service.history(customer_id="visitor-1", action_map_id=MAP).known
        assert service.eligibility(customer_id="visitor-1", action_map_id=MAP) is None


def test_arguments_win_over_the_environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them over its variable."""
    monkeypatch.setenv("OFFERLOG_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("OFFERLOG_ORGANIZATION", "acme")
    monkeypatch.setenv("OFFERLOG_OPEN_ACTION_TTL", "0")
    rules = Rules(open_action_ttl=timedelta(hours=1))
    with open_offerlog(database_url=dsn, organization="other", rules=rules) as service:
        make_offer(service)
        assert service.organization == "other"
        assert service.eligibility(customer_id="visitor-1", action_map_id=MAP) is not None


def test_a_folder_given_means_the_embedded_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--data` does for the command, whatever server the environment names."""
    monkeypatch.setenv("OFFERLOG_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreMissingError) as raised:
        open_offerlog(data=tmp_path / "none", create=False)
    assert raised.value.where == str(tmp_path / "none")


def test_the_folder_of_the_environment_is_the_one_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the platform's place."""
    monkeypatch.delenv("OFFERLOG_DATABASE_URL", raising=False)
    monkeypatch.setenv("OFFERLOG_DATA", str(tmp_path / "none"))
    with pytest.raises(StoreMissingError) as raised:
        open_offerlog(create=False)
    assert raised.value.where == str(tmp_path / "none")


def test_a_variable_with_a_wrong_value_is_named(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an error of offerlog's own, which is a wrong value to Python too."""
    monkeypatch.setenv("OFFERLOG_PARKING_TIME", "soon")
    with pytest.raises(SettingsError, match="OFFERLOG_PARKING_TIME: a number of seconds is needed") as raised:
        open_offerlog(database_url=dsn)
    assert raised.value.variable == "OFFERLOG_PARKING_TIME"
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FORWARDED_ALLOW_IPS", "unix:/run/x.sock"),
        ("POSTGRES_ENABLE_DB_FUNCTIONS", "y"),
        ("POSTGRES_ENABLE_DB_FUNCTIONS", "perhaps"),
        ("OFFERLOG_KEEP_ALIVE", "long"),
    ],
)
def test_a_variable_that_only_the_server_reads_does_not_hinder(
    dsn: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """In process, uvicorn and the eventsourcing library may belong to another part of the program."""
    monkeypatch.setenv(variable, value)
    with open_offerlog(database_url=dsn, keep_deadlines=False) as service:
        assert service.record([]).outcomes == ()
