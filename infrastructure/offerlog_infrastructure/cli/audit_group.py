"""The group audit: evidence for people who do not trust the operator of the log."""

import typer

from offerlog_infrastructure.cli import audit_key, bundles, evidence, issued_reports, witness
from offerlog_infrastructure.cli.everywhere import OfferlogGroup, between


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    audit = typer.Typer(
        cls=OfferlogGroup,
        help="Show people outside that the log is whole and unchanged.",
        no_args_is_help=True,
        callback=between,
    )
    for family in (audit_key, evidence, bundles, witness, issued_reports):
        family.add_to(audit)
    app.add_typer(audit, name="audit")
