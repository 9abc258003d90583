"""The keys of a store: encrypted under a keyring outside it, with the secrets of older stores too."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from offerlog_application.ports.keyring import KeyringError
from offerlog_infrastructure.composition import SCHEMA, open_offerlog
from offerlog_infrastructure.keyring.file_keyring import KeyMissingError
from offerlog_infrastructure.keyring.keyring_file import id_of
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.migrations import migrate
from offerlog_infrastructure.postgres.store_keys import StoreKeys
from support.internals import application_of
from support.keyrings import run_keyring
from support.recount import rows
from support.relation_files import relation_files

KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))
CLEAR = [(f"shop-{n}", sha256(b"%d" % n).digest()) for n in range(3)]
UNWRAP = """
    DROP TABLE key_encryption_keys CASCADE;
    ALTER TABLE organizations DROP COLUMN kek;
    ALTER TABLE organizations RENAME COLUMN wrapped_secret TO secret;
    ALTER TABLE organizations ADD CONSTRAINT organizations_secret_check CHECK (octet_length(secret) = 32);
    DELETE FROM migrations WHERE number = 10
"""


@pytest.fixture
def application(dsn: str) -> Iterator[OfferlogApplication]:
    """A log over an empty database."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        yield application


@pytest.fixture
def older(dsn: str) -> str:
    """A database as an older offerlog has left it, with organizations whose secrets stand as they are."""
    rows(dsn, UNWRAP)
    for organization, secret in CLEAR:
        rows(dsn, "INSERT INTO organizations VALUES (%s, %s)", organization, secret)
    return dsn


def put_keys(file: Path, *keys: bytes) -> None:
    """Write a keyring with these keys; the last one is the current one."""
    known = {id_of(key): base64.b64encode(key).decode() for key in keys}
    file.write_text(json.dumps({"current": id_of(keys[-1]), "keys": known}))
    file.chmod(0o600)


def test_a_key_is_decrypted_by_every_process_that_has_the_keyring(
    dsn: str, application: OfferlogApplication
) -> None:
    """The store has the number of the keyring's key, and 8 bytes more than the key."""
    # when
    number, data = application.keys.wrap(KEY)
    # then
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as other:
        assert other.keys.unwrap(number, data) == KEY
    assert KEY not in data
    assert len(data) == 40
    assert rows(dsn, "SELECT number, id FROM key_encryption_keys") == [(number, run_keyring().kek_id)]


def test_the_secret_of_an_organization_stands_encrypted(dsn: str, application: OfferlogApplication) -> None:
    """Threads that ask for a new one at once get the same."""
    # when
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(application.keys.secret("acme"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # then
    assert len(found) == 4
    assert len({*found}) == 1
    ((number, wrapped),) = rows(dsn, "SELECT kek, wrapped_secret FROM organizations")
    assert found[0] not in wrapped
    assert application.keys.unwrap(number, wrapped) == found[0]
    application.keys.secret("other")
    assert secrets_of(application.keys) == secrets_of(StoreKeys(application.log.datastore, run_keyring()))
    assert secrets_of(application.keys).keys() == {"acme", "other"}


def secrets_of(keys: StoreKeys) -> dict[str, bytes]:
    """The secrets of all organizations."""
    return {organization: keys.secret(organization) for organization in keys.all_keys()}


def test_a_former_key_of_the_keyring_stays_readable(dsn: str, tmp_path: Path) -> None:
    """A second key comes into use with the next start; a process that runs reads it from the file."""
    # given
    file = tmp_path / "keyring.json"
    put_keys(file, KEY)
    with open_offerlog(database_url=dsn, keyring=file, keep_deadlines=False) as before:
        earlier = application_of(before).keys
        wrapped = earlier.wrap(KEY)
        # when
        put_keys(file, KEY, OTHER_KEY)
        with open_offerlog(database_url=dsn, keyring=str(file), keep_deadlines=False) as after:
            later = application_of(after).keys
            wrapped_later = later.wrap(KEY)
            # then
            assert later.unwrap(*wrapped) == KEY
        assert earlier.unwrap(*wrapped_later) == KEY
    assert wrapped_later[0] != wrapped[0]
    assert rows(dsn, "SELECT id FROM key_encryption_keys ORDER BY number") == [
        (id_of(KEY),),
        (id_of(OTHER_KEY),),
    ]


def test_secrets_of_an_older_store_are_encrypted_by_the_first_opening(older: str) -> None:
    """By one of several at once; the organizations keep their secrets, and so their streams."""
    # given
    openings = [
        threading.Thread(target=migrate, args=(older, SCHEMA), kwargs={"keyring": run_keyring()})
        for _ in range(3)
    ]
    # when
    for opening in openings:
        opening.start()
    for opening in openings:
        opening.join(60)
    # then
    with closing(OfferlogApplication(older, SCHEMA, keyring=run_keyring())) as application:
        assert secrets_of(application.keys) == dict(CLEAR)
    assert rows(older, "SELECT count(*) FROM organizations WHERE kek IS NULL") == [(0,)]


def test_no_file_of_the_table_holds_a_secret_as_it_was(older: str) -> None:
    """Neither a row nor what an update leaves of one."""
    # given
    assert all(any(secret in text for text in relation_files(older, "organizations")) for _, secret in CLEAR)
    # when
    migrate(older, SCHEMA, keyring=run_keyring())
    # then
    assert not any(secret in text for text in relation_files(older, "organizations") for _, secret in CLEAR)


def test_a_store_with_another_keyring_is_not_opened_nor_changed(older: str, tmp_path: Path) -> None:
    """The error names the file, the key that it lacks, and what to do; no migration has run."""
    # given
    with open_offerlog(database_url=older, keep_deadlines=False):
        pass
    before = rows(older, "TABLE organizations"), rows(older, "TABLE key_encryption_keys")
    other = tmp_path / "other.json"
    # when the file is not there
    with pytest.raises(KeyMissingError, match=f"{other} is not there, .* {run_keyring().kek_id} ") as raised:
        open_offerlog(database_url=older, keyring=other)
    # then
    assert raised.value.kek_id == run_keyring().kek_id
    assert not other.exists()
    # when it has another key
    put_keys(other, OTHER_KEY)
    with pytest.raises(KeyMissingError, match=r"does not hold the key .*--keyring or OFFERLOG_KEYRING"):
        open_offerlog(database_url=older, keyring=other, create=False)
    # then
    assert (rows(older, "TABLE organizations"), rows(older, "TABLE key_encryption_keys")) == before


def test_a_process_without_a_keyring_has_no_keys(dsn: str, application: OfferlogApplication) -> None:
    """Nothing is made up for it."""
    number, data = application.keys.wrap(KEY)
    application.keys.secret("acme")
    with closing(OfferlogApplication(dsn, SCHEMA)) as without:
        for use in (
            lambda: without.keys.secret("acme"),
            lambda: without.keys.secret("new"),
            lambda: without.keys.wrap(KEY),
            lambda: without.keys.unwrap(number, data),
            without.keys.all_keys,
        ):
            with pytest.raises(KeyringError, match="without a keyring"):
                use()


def test_a_number_that_the_store_does_not_know_is_an_error(application: OfferlogApplication) -> None:
    """As after a restored backup of one table alone."""
    _, data = application.keys.wrap(KEY)
    with pytest.raises(KeyringError, match="no key with the number 99"):
        application.keys.unwrap(99, data)
