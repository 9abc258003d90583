"""Mistakes people make: a wrong folder, a misspelled organization or variable, the sample in a real store."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from offerlog_infrastructure.composition import open_offerlog
from support.command_line import CommandLine, an_id, ndjson, signal_of
from support.ready_stores import put_store

MAP = "0a000000-0000-4000-8000-000000000001"
PAIR = ("--customer", "v1", "--action-map", MAP)
READING = [
    ("report",),
    ("suppressions", "--customer", "v1"),
    ("eligibility", *PAIR),
    ("history", *PAIR),
    ("visitor", "--customer", "v1"),
    ("audit", "reports"),
    ("events", "follow"),
    ("events", "subscriptions"),
    ("parked",),
    ("refusals",),
    ("keys", "list"),
    ("keys", "revoke", "0a1b2c3d4e5f"),
    ("maps", "list"),
]
FOR_THE_WHOLE_STORE = [
    ("expire",),
    ("projections", "status"),
    ("projections", "rebuild"),
    ("events", "check"),
    ("keyring", "rotate"),
    ("organizations", "list"),
    ("keys", "create", "--role", "reporter"),
]


@pytest.fixture
def small_store(cli_folder: Path) -> Iterator[CommandLine]:
    """A separate store with one signal, of organization `acme`; its server runs."""
    put_store(cli_folder / "store")
    with open_offerlog(data=cli_folder / "store", organization="acme", keep_deadlines=False) as service:
        service.wait(service.record([signal_of("offered", an_id(), MAP)]).position)
        yield CommandLine(cli_folder / "store", "acme")


def test_a_value_that_is_not_one_of_a_few_is_named_with_them(tmp_path: Path) -> None:
    """In plain words, without those of the library that checks it."""
    error = CommandLine(tmp_path / "store", "default").fails("report", "--by", "minute")
    assert error.startswith("offerlog: Invalid value for '--by': 'minute' is not one of 'total', 'hour', ")


@pytest.mark.parametrize("words", [*READING, *FOR_THE_WHOLE_STORE], ids=lambda words: " ".join(words[:2]))
def test_a_command_that_reads_makes_no_store(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A typing mistake in the folder's name is an error, and leaves nothing behind."""
    # given
    typo = CommandLine(tmp_path / "tpyo", "default")
    # when
    error = typo.fails(*words, code=1)
    # then
    assert f"there is no store at {tmp_path / 'tpyo'}" in error
    assert not (tmp_path / "tpyo").exists()


def test_a_checkout_is_not_filled_with_a_database(cli_folder: Path) -> None:
    """By no command: a folder with other files in it is refused."""
    # given
    subprocess.run(["git", "init", "-q", str(cli_folder)], check=True, timeout=30)
    before = sorted(cli_folder.iterdir())
    checkout = CommandLine(cli_folder, "default")
    # when
    error = checkout("record", "-", given=ndjson(signal_of("offered", an_id(), MAP)), code=1).errors
    # then
    assert "none is made there, as it holds other files" in error
    assert sorted(cli_folder.iterdir()) == before
    assert "there is no store" in checkout.fails("report", code=1)


def test_a_command_that_writes_says_that_it_made_a_store(cli_folder: Path) -> None:
    """On standard error, once."""
    # given
    offerlog = CommandLine(cli_folder / "store", "default")
    signals = ndjson(signal_of("offered", an_id(), MAP))
    # when
    first, again = (offerlog("record", "-", given=signals).errors for _ in range(2))
    # then
    made = f"offerlog: made a new store at {cli_folder / 'store'}\n"
    assert first.endswith(made)
    assert made not in again


@pytest.mark.parametrize("words", READING, ids=lambda words: " ".join(words[:2]))
def test_a_command_that_reads_knows_its_organization(offerlog: CommandLine, words: tuple[str, ...]) -> None:
    """A misspelled one is not one that nothing happened in; the error says which there are."""
    # given
    misspelled = offerlog.organization[:-1] + "_"
    # when
    error = offerlog.fails(*words, "--organization", misspelled)
    # then
    assert f"has no organization '{misspelled}'; did you mean '{offerlog.organization}'?" in error


def test_an_unknown_organization_is_told_the_known_ones(small_store: CommandLine) -> None:
    """Also where the name comes from the environment, and where it is the usual one."""
    error = small_store.fails("report", "--organization", "default")
    assert "has no organization 'default'; it has: acme" in error
    misspelled = small_store.with_settings(OFFERLOG_ORGANIZATION="amce")
    assert "did you mean 'acme'? it has: acme" in misspelled.fails("report")
    assert small_store.fails("report", "--organization", "amce") == misspelled.fails("report")


def test_a_new_organization_is_announced_when_it_begins(offerlog: CommandLine) -> None:
    """On standard error, once: it may be a misspelled one."""
    # given
    name = f"org-{uuid.uuid4().hex[:12]}"
    words = ("offer", *PAIR, "--session", an_id(), "--organization", name)
    # when
    first, again = (offerlog(*words).errors for _ in range(2))
    # then
    assert first.startswith(f"offerlog: '{name}' is a new organization of this store, which has: ")
    assert again == ""


def test_a_name_that_differs_only_in_case_is_asked_about(offerlog: CommandLine) -> None:
    """On a terminal; a script goes on, warned."""
    # given
    variant = offerlog.organization.upper()
    words = ("offer", *PAIR, "--session", an_id(), "--organization", variant)
    # when
    seen = offerlog.on_a_terminal(*words, typed=b"n\n", code=2, columns=300)
    # then
    assert f"differs only in case from {offerlog.organization}. Go on?" in seen
    assert "has no organization" in offerlog.fails("report", "--organization", variant)
    assert f"differs only in case from {offerlog.organization}" in offerlog(*words).errors


def test_a_misspelled_variable_is_warned_of(offerlog: CommandLine) -> None:
    """Nothing else would say that it has no effect."""
    misspelled = offerlog.with_settings(OFFERLOG_ORGANISATION="acme")
    assert misspelled("parked").errors == (
        "offerlog: the environment variable OFFERLOG_ORGANISATION is not one that offerlog reads;"
        " did you mean OFFERLOG_ORGANIZATION?\n"
    )


def test_the_sample_asks_before_it_joins_real_signals(small_store: CommandLine) -> None:
    """54,480 invented signals would stay for good: without an answer nothing is recorded."""
    # when
    piped = small_store("sample", code=2)
    seen = small_store.on_a_terminal("sample", typed=b"n\n", code=1, columns=300)
    # then
    assert "the store holds signals of acme" in piped.errors
    assert "give --yes" in piped.errors
    assert "in organization 'sample'. Go on? [y/N]" in seen
    assert "nothing was recorded" in seen
    assert "has no organization 'sample'" in small_store.fails("report", "--organization", "sample")
    # when it is told to join them in their own organization
    assert "give --yes" in small_store("sample", "--organization", "acme", code=2).errors
    # then
    assert len(small_store("report", "--format", "json").json["rows"]) == 1
