"""The assessments about a store: one function for each check that can be made."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from offerlog_application.ports.read_models import ProjectionStatus
from offerlog_application.ports.store_figures import Backlog, StoreFigures
from offerlog_application.status.levels import (
    Assessment,
    attention,
    broken,
    format_period,
    is_over,
    unchecked,
    well,
)
from offerlog_application.status.observation import Observation, ObservedService
from offerlog_application.wording import format_count
from offerlog_domain.stream_ids import format_slices

LAG_LIMIT: Final = timedelta(minutes=1)
"""Age of what a projection or the tree lacks, above which somebody should look."""

OVERDUE_LIMIT: Final = timedelta(minutes=5)
"""Time for which a deadline or a parking may be overdue: services look every five seconds."""

BACKUP_LIMIT: Final = timedelta(days=2)
"""Age of the last backup above which one was missed, where one is made each night."""

PERIODS_MISSED: Final = 3
"""Number of periods without a checkpoint, above which something keeps it from being signed."""

USUAL_TIMES: Final = 3
"""More refusals in a day than so many times the daily mean of the week before are unusual."""

_KNOWN_AFTER: Final = timedelta(days=3)
"""Age of a store from which on it is known how many refusals are usual."""

FEW_REFUSALS: Final = 100
"""Up to so many refusals of one reason in a day are not unusual."""

Assess = Callable[[Observation], Assessment]


def of_figures(assess: Callable[[StoreFigures, Observation], Assessment]) -> Assess:
    """Return an assessment that needs the figures of the store."""

    def assessed(seen: Observation) -> Assessment:
        return (
            unchecked("the store could not be read") if seen.figures is None else assess(seen.figures, seen)
        )

    return assessed


def assess_store(seen: Observation) -> Assessment:
    """Assess whether the store can be read, and as one of several servers has its slices."""
    if seen.trouble is not None:
        return broken(seen.trouble, seen.advice or "look at the store's log")
    shard = seen.shard
    if shard is not None and shard.owned is not None and {*shard.owned} != {*shard.slices}:
        return attention(
            f"it owns the slices {format_slices([*shard.owned])}, and the directory gives it"
            f" {format_slices(shard.slices)}",
            "`offerlog shards status` says what to do",
        )
    return well(f"{seen.store} answers")


def assess_schema(seen: Observation) -> Assessment:
    """Assess whether the tables of the store are those of this offerlog."""
    if seen.migration is None:
        return unchecked("the tables could not be read")
    if seen.migration > seen.known_migration:
        return broken(
            f"the tables are at migration {seen.migration}, and this offerlog knows {seen.known_migration}",
            "use the newer offerlog that the store was opened with",
        )
    if seen.migration < seen.known_migration:
        return attention(
            f"the tables are at migration {seen.migration}, and this offerlog has {seen.known_migration}",
            "end all older processes and make a backup; then the next start of a service or any other command"
            " upgrades the store",
        )
    return well(f"migration {seen.migration}, as this offerlog")


def is_healthy(projection: ProjectionStatus) -> bool:
    """Return True if a projection lacks nothing for longer than a minute, and has no dead letters."""
    return not is_over(projection.lag_seconds, LAG_LIMIT) and not projection.short_by


def _assess_lag(figures: StoreFigures, seen: Observation) -> Assessment:
    unreadable = [one.name for one in figures.projections if one.lag_seconds is None]
    if unreadable:
        return broken(
            f"{', '.join(unreadable)}: this offerlog cannot read the next event",
            "`offerlog events check` says which; use the offerlog that wrote it",
        )
    late = [one for one in figures.projections if is_over(one.lag_seconds, LAG_LIMIT)]
    if not late:
        return well(
            f"at most {format_period(max((one.lag_seconds or 0 for one in figures.projections), default=0))}"
        )
    listed = ", ".join(
        f"{one.name} {format_period(one.lag_seconds or 0)} ({format_count(one.lag_events, 'event')})"
        for one in late
    )
    advice = (
        "look into the log of the service for warnings of the projector"
        if seen.services
        else "no service is seen: start one, or run `offerlog projections rebuild`"
    )
    return attention(listed, advice)


def _assess_dead_letters(figures: StoreFigures, _: Observation) -> Assessment:
    short = {one.name: one.short_by for one in figures.projections if one.short_by}
    if not short:
        return well("none")
    listed = ", ".join(f"{name} {events:,}" for name, events in short.items())
    return attention(
        f"events that wait behind one that could not be applied: {listed}",
        "`offerlog projections dead-letters` has the errors; after the cause is fixed, run it with --retry",
    )


def _assess_parked(figures: StoreFigures, seen: Observation) -> Assessment:
    late = _overdue(figures.overdue_parkings, seen.at - seen.rules.parking_time)
    if late is None:
        return well(f"{count_backlog(figures.parked)} waiting")
    return attention(
        f"{count_backlog(figures.overdue_parkings)} past their parking time, the oldest for {late}",
        _nobody_expires(seen),
    )


def _assess_deadlines(figures: StoreFigures, seen: Observation) -> Assessment:
    late = _overdue(figures.overdue_deadlines, seen.at - seen.rules.deadline_grace)
    if late is None:
        return well("none")
    return attention(
        f"{count_backlog(figures.overdue_deadlines)} overdue, the oldest for {late}", _nobody_expires(seen)
    )


def _overdue(backlog: Backlog, due_at: datetime) -> str | None:
    """Return how long the oldest is overdue; None if that is not for long."""
    if backlog.oldest is None:
        return None
    seconds = (due_at - backlog.oldest).total_seconds()
    return format_period(seconds) if is_over(seconds, OVERDUE_LIMIT) else None


def _nobody_expires(seen: Observation) -> str:
    if seen.services:
        return "look into the log of the service for warnings about deadlines"
    return "no service is seen: start one, or let a timer call `offerlog expire`"


def count_backlog(backlog: Backlog) -> str:
    """Write the number of rows for people."""
    return f"more than {backlog.count:,}" if backlog.is_more else f"{backlog.count:,}"


def _assess_refusals(figures: StoreFigures, seen: Observation) -> Assessment:
    if figures.made_at is not None and seen.at - figures.made_at < _KNOWN_AFTER:
        return well(f"{sum(figures.refusals.values()):,} in the last day; the store is new")
    unusual = {
        reason: count
        for reason, count in figures.refusals.items()
        if count > max(FEW_REFUSALS, USUAL_TIMES * figures.usual_refusals.get(reason, 0) / 7)
    }
    if not unusual:
        return well(f"{sum(figures.refusals.values()):,} in the last day")
    listed = ", ".join(
        f"{reason} {count:,} (in the week before {figures.usual_refusals.get(reason, 0) / 7:,.0f} a day)"
        for reason, count in unusual.items()
    )
    return attention(
        f"in the last day: {listed}",
        "`offerlog refusals --reason ... --newest-first` shows them; the glossary has what to do about each",
    )


def assess_services(seen: Observation) -> Assessment:
    """Assess whether each running service is ready."""
    if seen.figures is None and not seen.services:
        return unchecked("the running services are not known")
    if not seen.services:
        return well("none runs")
    wrong = [f"{one.address}: {one.trouble}" for one in seen.services if one.trouble is not None]
    if wrong:
        return broken(
            "; ".join(wrong),
            "look into its log; if the store works and the writer has ended or stands still, restart it",
        )
    silent = [one.address for one in seen.services if not one.is_reached]
    if silent:
        return attention(
            f"no answer from here in time: {', '.join(silent)}",
            "ask its /readyz from where it can be reached; if that is silent too, restart it",
        )
    missing = [f"{one.address}: {words}" for one in seen.services if (words := _name_missing(one))]
    if missing:
        return attention(
            "; ".join(missing),
            "it starts again by itself; if it does not, its service's log says why it ends",
        )
    return well(", ".join(f"{one.address} is ready{_count_workers(one)}" for one in seen.services))


def _name_missing(service: ObservedService) -> str:
    """Name the processes of a service that are not there; empty if all are."""
    workers = service.workers
    if workers is None:
        return ""
    names = [f"worker {number} of {workers.count}" for number in workers.missing]
    names += [] if workers.has_background else ["the process of projections and deadlines"]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing" if names else ""


def _count_workers(service: ObservedService) -> str:
    workers = service.workers
    return "" if workers is None else f" ({workers.count - len(workers.missing)} of {workers.count} workers)"


def assess_incidents(seen: Observation) -> Assessment:
    """Assess whether unexpected errors ended groups of a writer."""
    known = {one.address: one.incidents for one in seen.services if one.incidents is not None}
    if not known:
        return unchecked("no service runs whose metrics can be read from here")
    counted = ", ".join(f"{count:,} at {address}" for address, count in known.items() if count)
    if not counted:
        return well("none")
    return attention(
        f"since its start: {counted}", "its log has the traceback; the senders were asked to send again"
    )


def _assess_seal_lag(figures: StoreFigures, _: Observation) -> Assessment:
    if figures.tree is None:
        return unchecked("the log has no tree")
    if not figures.tree.lag_events:
        return well(f"it holds all {format_count(figures.tree.size, 'event')}")
    missing = f"it lacks {format_count(figures.tree.lag_events, 'event')}"
    if not is_over(figures.tree.lag_seconds, LAG_LIMIT):
        return well(f"{missing}, for a moment")
    age = "unknown" if figures.tree.lag_seconds is None else format_period(figures.tree.lag_seconds)
    return attention(
        f"{missing}, the oldest since {age}",
        "start a service, or look into its log; `offerlog audit verify` says if the tree is damaged",
    )


def _assess_checkpoint(figures: StoreFigures, seen: Observation) -> Assessment:
    if not seen.has_audit_key:
        return well("not set up: no key signs checkpoints (`offerlog audit keygen`)")
    if not seen.checkpoint_period:
        return well("services sign none (OFFERLOG_CHECKPOINT_PERIOD is 0)")
    size = 0 if figures.tree is None else figures.tree.size
    last = figures.checkpoint
    if last is None:
        return (
            attention(
                "there is a key, and nothing was signed yet",
                "start a service, or run `offerlog audit checkpoint`, which says what keeps it",
            )
            if size
            else well("the log is empty")
        )
    age = (seen.at - last.signed_at).total_seconds()
    text = f"{last.size:,} of {format_count(size, 'event')}, signed {format_period(age)} ago"
    if last.size >= size or not is_over(age, PERIODS_MISSED * seen.checkpoint_period):
        return well(text)
    return attention(text, "start a service, or run `offerlog audit checkpoint`, which says what keeps it")


def assess_keyring(seen: Observation) -> Assessment:
    """Assess whether the keyring can be used and holds the keys of the store."""
    keyring, figures = seen.keyring, seen.figures
    if keyring.trouble is not None:
        return broken(keyring.trouble, "put the copy of the keyring there")
    if figures is None:
        found = "can be read" if keyring.keys else "is not there"
        return unchecked(f"{keyring.place} {found}; the keys of the store are not known")
    missing = [one for one in figures.keys if one not in keyring.keys]
    if missing:
        return broken(
            f"{keyring.place} does not hold {', '.join(missing)}, which the store needs",
            "put the copy of the keyring there that was made with the store, or name its place",
        )
    former = sum(count for one, count in figures.keys.items() if one != keyring.current)
    if former:
        return attention(
            f"secrets of {former:,} organizations are encrypted with a former key",
            "a rotation is not complete: run `offerlog keyring rotate` again",
        )
    return well(f"{keyring.place} holds all keys of the store")


def _assess_backup(figures: StoreFigures, seen: Observation) -> Assessment:
    if figures.backup is None:
        if seen.shard is not None:
            return unchecked("none is recorded: see whether PostgreSQL's own means back this server up")
        if not figures.position or not seen.is_embedded:
            return well("none is recorded")
        return attention("none was made", "run `offerlog backup FILE` each night, to another disk")
    age = (seen.at - figures.backup.made_at).total_seconds()
    if is_over(age, BACKUP_LIMIT):
        return attention(
            f"the last one is {format_period(age)} old", "look at the timer of `offerlog backup`"
        )
    return well(f"{format_period(age)} old")


assess_lag: Final = of_figures(_assess_lag)
assess_dead_letters: Final = of_figures(_assess_dead_letters)
assess_parked: Final = of_figures(_assess_parked)
assess_deadlines: Final = of_figures(_assess_deadlines)
assess_refusals: Final = of_figures(_assess_refusals)
assess_seal_lag: Final = of_figures(_assess_seal_lag)
assess_checkpoint: Final = of_figures(_assess_checkpoint)
assess_backup: Final = of_figures(_assess_backup)
