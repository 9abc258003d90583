"""Deleted organizations, issued reports and the keys of the keyring, as documents."""

from __future__ import annotations  # the types below are loaded for the checker alone: --help need not wait

from typing import TYPE_CHECKING

from offerlog_infrastructure.presentation.documents import (
    format_optional_time,
    format_time,
    show_position,
)

if TYPE_CHECKING:
    from offerlog_application.erasure.organizations import DeletedOrganization
    from offerlog_application.ports.master_keys import MasterKey
    from offerlog_application.reading.issued_reports import IssuedReport
    from offerlog_infrastructure.presentation import answers


def describe_deletion(deleted: DeletedOrganization) -> answers.DeletedTenant:
    """Describe the deletion of an organization."""
    return {
        "organization": deleted.organization,
        "visitors": deleted.visitors,
        "events": deleted.events,
        "refusals": deleted.refusals,
        "keys": deleted.keys,
        "held": deleted.held,
        "first_receipt": deleted.first_receipt,
        "last_receipt": deleted.last_receipt,
        "receipt": deleted.receipt,
        "webhooks": deleted.webhooks,
        "webhooks_behind": deleted.webhooks_behind,
        "subscriptions": deleted.subscriptions,
    }


def describe_issued(report: IssuedReport) -> answers.ReportGivenOut:
    """Describe a report that was given out."""
    return {
        "position": report.position,
        "as_of_position": show_position(report.as_of_position),
        "digest": report.digest.hex(),
        "issued_by": report.issued_by,
        "issued_at": format_time(report.issued_at),
        "query": report.query,
    }


def describe_master_key(key: MasterKey) -> answers.KeyringKey:
    """Describe a key of the keyring. The number of visitors is that of all organizations, so it stays out."""
    return {
        "key": key.id,
        "current": key.is_current,
        "made_at": format_optional_time(key.made_at),
        "used_since": format_optional_time(key.used_since),
    }
