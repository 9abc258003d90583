"""The checks of an operator: what to watch, where it is seen, and how it is assessed.

This is the one definition. The documentation has its table from here; `offerlog status` and `offerlog doctor`
assess by it.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from offerlog_application.ports.shards import HOME
from offerlog_application.status import assessments, followers, machine
from offerlog_application.status.assessments import Assess
from offerlog_application.status.levels import Assessment, Level, unchecked, worst
from offerlog_application.status.observation import Observation


class Check(NamedTuple):
    """Something to watch.

    Attributes:
        name: Its name, for programs; it never changes.
        what: The condition to alert on, in Markdown.
        where: The metric, the command or the file that shows it, in Markdown.
        assess: Assesses an observation; None for what cannot be assessed here.
    """

    name: str
    what: str
    where: str
    assess: Assess | None


class CheckResult(NamedTuple):
    """The result of one check.

    Attributes:
        name: The name of the check.
        assessment: The assessment.
    """

    name: str
    assessment: Assessment


CHECKS: Final = (
    Check(
        "store",
        "the store cannot be reached, or nothing can be written to it, for a minute; the"
        " [reason](#when-the-store-cannot-do-its-work) says what to do",
        "`offerlog_store_trouble` is 1",
        assessments.assess_store,
    ),
    Check(
        "schema",
        "the tables of the store are older or newer than this offerlog",
        "`offerlog status`",
        assessments.assess_schema,
    ),
    Check(
        "services",
        "a service is not ready: its writer has ended or does not move, or the store fails. Restart it if the"
        " store works. Or one of its workers is missing",
        "`/readyz`; `offerlog_writer_alive` is 0, `offerlog_writer_stalled_seconds` above 30",
        assessments.assess_services,
    ),
    Check(
        "incidents",
        "an unexpected error ended a group of the writer; its senders were asked to send again. The log has"
        " the traceback",
        "`offerlog_writer_incidents` grows",
        assessments.assess_incidents,
    ),
    Check(
        "lag",
        "a projection lags by more than a minute, or cannot read the next event",
        "`offerlog_projection_lag_seconds`; NaN is worse",
        assessments.assess_lag,
    ),
    Check(
        "dead_letters",
        "a projection could not apply an event: [dead letters](#projections)",
        "`offerlog_dead_letter_events` above 0",
        assessments.assess_dead_letters,
    ),
    Check(
        "subscriptions",
        "a reader of the [feed](events-feed.md) lags by more than it may: it stands still, or cannot keep up."
        " `offerlog doctor` allows 25 hours, for readers that run each night; an alert may allow less",
        "`offerlog_subscription_lag_seconds`; `offerlog events subscriptions`",
        followers.assess_subscriptions,
    ),
    Check(
        "webhooks",
        "a [webhook](webhooks.md) was disabled because its receiver fails or is gone, or it has dead letters,"
        " or its receiver has taken nothing for an hour",
        "`offerlog_webhook_disabled` for a reason other than `operator`, `offerlog_webhook_dead_letters`"
        " above 0, `offerlog_webhook_lag_seconds` above 3600; `offerlog webhooks list`",
        followers.assess_webhooks,
    ),
    Check(
        "parked",
        "a signal is parked for more than five minutes above the parking time",
        "`offerlog_overdue_parked_signals` above 0 for five minutes",
        assessments.assess_parked,
    ),
    Check(
        "deadlines",
        "a time-out is due for more than five minutes, and not recorded",
        "`offerlog_overdue_deadlines` above 0 for five minutes",
        assessments.assess_deadlines,
    ),
    Check(
        "refusals",
        "more refusals of one reason in a day than 100, and than three times the daily mean of the week"
        " before",
        "`offerlog_refusals_last_day`",
        assessments.assess_refusals,
    ),
    Check(
        "seal_lag",
        "an event is not in the [tree](audit.md) after a minute, so nothing protects it; the log says why",
        "`offerlog_seal_lag_seconds` above 60",
        assessments.assess_seal_lag,
    ),
    Check(
        "checkpoint",
        "there are new events, and no checkpoint was signed for three periods: the key or the folder cannot"
        " be used, or the log was changed. Run `offerlog audit verify`",
        "`offerlog_last_checkpoint_timestamp_seconds`; `no checkpoint was signed` in the log",
        assessments.assess_checkpoint,
    ),
    Check(
        "witness",
        "the witness does not cosign for half an hour: it is down, or says that the log was rewritten",
        "`the witness NAME is asked again` in the log; `offerlog_cosigned_events` stands still while"
        " `offerlog_sealed_events` grows",
        followers.assess_witness,
    ),
    Check(
        "keyring",
        "the [keyring](#the-keyring) cannot be used, lacks a key of the store, or a rotation is not complete",
        "`offerlog doctor`",
        assessments.assess_keyring,
    ),
    Check(
        "backup",
        "the last [backup](#backup) is older than two days",
        "`offerlog_last_backup_timestamp_seconds`",
        assessments.assess_backup,
    ),
    Check(
        "disk",
        "less than a tenth of the disk of the data folder is free",
        "`offerlog doctor`; the system",
        machine.assess_disk,
    ),
    Check(
        "server_log",
        "`FATAL` or `PANIC` in the log of PostgreSQL; `idle-in-transaction timeout`",
        "`server.log`, or your server's log",
        machine.assess_server_log,
    ),
    Check(
        "commands",
        "exit codes 1 and 3 of a command ([all](command-line.md#what-is-printed)), and 4 if it lasts;"
        " `StoreUnavailableError`, `OutcomeUnknownError`, `ContendedError`, `OverloadedError` in a service",
        "standard error; your logs",
        None,
    ),
    Check(
        "warnings",
        "warnings of the loggers below `offerlog_application` and `offerlog_infrastructure`",
        "your logs",
        None,
    ),
)
"""All checks, in the order in which an operator reads them."""

_MADE_ONCE: Final = frozenset({"services", "incidents", "disk", "server_log", "commands", "warnings"})
"""Checks of what several servers have in common. They are made with the home."""


def run_checks(seen: Observation) -> Sequence[CheckResult]:
    """Assess an observation by every check; one of another server than the home by those of a store alone."""
    elsewhere = unchecked("not assessed here: look where the documentation says")
    is_another = seen.shard is not None and seen.shard.number != HOME
    return [
        CheckResult(one.name, elsewhere if one.assess is None else one.assess(seen))
        for one in CHECKS
        if not (is_another and one.name in _MADE_ONCE)
    ]


def summarize(results: Sequence[CheckResult]) -> Level:
    """Return the worst level of some results."""
    return worst(one.assessment.level for one in results)
