"""The JSON of `offerlog status` and `offerlog doctor`."""

from collections.abc import Sequence

from offerlog_application.ports.store_figures import Backlog, LastCheckpoint, StoreFigures
from offerlog_application.ports.webhooks import WebhookLag
from offerlog_application.status.checks import CheckResult, summarize
from offerlog_application.status.levels import Level, worst
from offerlog_application.status.observation import Observation, ObservedShard, services_among
from offerlog_domain.stream_ids import format_slices
from offerlog_infrastructure.presentation.documents import (
    describe_status,
    format_optional_time,
    format_time,
)

JsonObject = dict[str, object]


def describe_check(result: CheckResult, shard: int | None = None) -> JsonObject:
    """Describe the result of one check; of one of several servers with its number."""
    assessment = result.assessment
    return ({} if shard is None else {"shard": shard}) | {
        "check": result.name,
        "level": assessment.level.value,
        "saw": assessment.saw,
        "advice": assessment.advice,
    }


def describe_observation(seen: Observation, results: Sequence[CheckResult]) -> JsonObject:
    """Describe everything that was observed of the only store, and the level of each check."""
    return {"at": format_time(seen.at)} | _describe_store(seen, results) | _describe_surroundings(seen)


def describe_observations(
    looks: Sequence[tuple[Observation, Sequence[CheckResult]]],
) -> JsonObject:
    """Describe everything that was observed of several servers, the home first.

    The level of the whole, and of each check, is the worst of all servers.
    """
    home = looks[0][0]
    levels: dict[str, list[Level]] = {}
    for _, results in looks:
        for one in results:
            levels.setdefault(one.name, []).append(one.assessment.level)
    return {
        "at": format_time(home.at),
        "level": worst(level for found in levels.values() for level in found).value,
        "checks": {name: max(found, key=[*Level].index).value for name, found in levels.items()},
        **_describe_surroundings(home),
        "shards": [
            _describe_shard(seen.shard) | _describe_store(seen, results)
            for seen, results in looks
            if seen.shard is not None
        ],
    }


def _describe_shard(shard: ObservedShard) -> JsonObject:
    return {
        "shard": shard.number,
        "slices": format_slices(shard.slices),
        "owned": None if shard.owned is None else format_slices([*shard.owned]),
    }


def _describe_store(seen: Observation, results: Sequence[CheckResult]) -> JsonObject:
    """Describe what belongs to one store."""
    return {
        "level": summarize(results).value,
        "checks": {one.name: one.assessment.level.value for one in results},
        "store": {
            "place": seen.store,
            "embedded": seen.is_embedded,
            "trouble": seen.trouble,
            "migration": seen.migration,
            "known_migration": seen.known_migration,
        },
        "figures": None if seen.figures is None else _describe_figures(seen.figures),
        "checkpoints": {"folder": seen.checkpoints, "has_key": seen.has_audit_key},
    }


def _describe_surroundings(seen: Observation) -> JsonObject:
    """Describe what several stores have in common."""
    keyring, disk = seen.keyring, seen.disk
    return {
        "version": seen.version,
        "keyring": {
            "place": keyring.place,
            "current": keyring.current,
            "keys": list(keyring.keys),
            "trouble": keyring.trouble,
        },
        "disk": None
        if disk is None
        else {
            "store_bytes": disk.store_bytes,
            "free_bytes": disk.free_bytes,
            "total_bytes": disk.total_bytes,
        },
        "services": [
            {
                "address": one.address,
                "reached": one.is_reached,
                "ready": one.is_reached and one.trouble is None,
                "trouble": one.trouble,
                "incidents": one.incidents,
                "workers": None
                if one.workers is None
                else {
                    "count": one.workers.count,
                    "missing": list(one.workers.missing),
                    "background": one.workers.has_background,
                },
            }
            for one in seen.services
        ],
        "server_log": None if seen.server_log is None else list(seen.server_log),
    }


def _describe_figures(figures: StoreFigures) -> JsonObject:
    return {
        "postgres": figures.server,
        "database_bytes": figures.database_bytes,
        "organizations": list(figures.organizations),
        "position": figures.position,
        "archive": None
        if figures.archive is None
        else {
            "place": figures.archive.place,
            "files": figures.archive.files,
            "events": figures.archive.events,
            "bytes": figures.archive.bytes,
        },
        "projections": [describe_status(one) for one in figures.projections],
        "dead_letters": figures.dead_letters,
        "subscriptions": [
            {
                "organization": one.organization,
                "name": one.name,
                "lag_events": one.lag_events,
                "lag_seconds": one.lag_seconds,
            }
            for one in figures.subscriptions
        ],
        "webhooks": [_describe_webhook(one) for one in figures.webhooks],
        "parked": _describe_backlog(figures.parked),
        "overdue_parkings": _describe_backlog(figures.overdue_parkings),
        "overdue_deadlines": _describe_backlog(figures.overdue_deadlines),
        "refusals_last_day": dict(figures.refusals),
        "refusals_week_before": dict(figures.usual_refusals),
        "tree": None
        if figures.tree is None
        else {
            "events": figures.tree.size,
            "lag_events": figures.tree.lag_events,
            "lag_seconds": figures.tree.lag_seconds,
        },
        "checkpoint": _describe_checkpoint(figures.checkpoint),
        "cosigned_checkpoint": _describe_checkpoint(figures.cosigned),
        "keys": [{"id": key, "organizations": count} for key, count in figures.keys.items()],
        "backup": None
        if figures.backup is None
        else {
            "made_at": format_time(figures.backup.made_at),
            "position": figures.backup.position,
            "bytes": figures.backup.size,
        },
        "connections": sum(one.connections for one in figures.clients),
        "service_connections": sum(one.connections for one in services_among(figures.clients)),
    }


def _describe_webhook(one: WebhookLag) -> JsonObject:
    """Describe a webhook without its address, which may hold a token."""
    endpoint = one.endpoint
    return {
        "organization": endpoint.organization,
        "id": endpoint.id,
        "disabled_because": None if endpoint.disabled_because is None else endpoint.disabled_because.value,
        "failing_since": format_optional_time(endpoint.failing_since),
        "pending": endpoint.pending,
        "dead_letters": endpoint.dead_letters,
        "lag_events": one.lag_events,
        "lag_seconds": one.lag_seconds,
    }


def _describe_backlog(backlog: Backlog) -> JsonObject:
    return {
        "count": backlog.count,
        "is_more": backlog.is_more,
        "oldest": format_optional_time(backlog.oldest),
    }


def _describe_checkpoint(one: LastCheckpoint | None) -> JsonObject | None:
    if one is None:
        return None
    return {"origin": one.origin, "events": one.size, "signed_at": format_time(one.signed_at)}
