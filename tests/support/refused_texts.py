"""The texts of the refusal log, which are sealed in the database."""

from contextlib import closing

from offerlog_infrastructure.composition import SCHEMA
from offerlog_infrastructure.postgres.log.application import OfferlogApplication
from offerlog_infrastructure.postgres.refusals.refusal_log import PostgresRefusalLog
from support.keyrings import run_keyring


def refused_texts(dsn: str, organization: str = "default") -> list[str]:
    """The kept texts of an organization's refusals, in order, read past any service."""
    with closing(OfferlogApplication(dsn, SCHEMA, keyring=run_keyring())) as application:
        return [one.raw.decode() for one in PostgresRefusalLog(application).refusals(organization)]
