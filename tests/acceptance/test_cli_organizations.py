"""`offerlog organizations list | delete`: the tenants of a store."""

from support.command_line import CommandLine, an_id, signal_of


def test_an_organization_is_listed_and_deleted_only_when_asked(offerlog: CommandLine) -> None:
    """Counts stay; a misspelled name deletes nothing."""
    # given
    offerlog.judged(signal_of("offered", an_id(), an_id()), {"customerId": "v2"})
    name = offerlog.organization
    listed = {one["organization"]: one for one in offerlog("organizations", "list", "--format", "json").lines}
    assert (listed[name]["visitors"], listed[name]["refusals"]) == (1, 1)
    # when
    refused = offerlog.fails("organizations", "delete", name)
    misspelled = offerlog.fails("organizations", "delete", f"{name}x", "--yes")
    deleted = offerlog("organizations", "delete", name, "--yes").json
    # then
    assert f"1 visitor of the organization '{name}' will be erased for good: give --yes" in refused
    assert "the store has no organization" in misspelled
    assert (deleted["visitors"], deleted["refusals"], deleted["held"]) == (1, 1, 0)
    assert name in offerlog("organizations", "list").text
    (row,) = offerlog("report", "--format", "json").json["rows"]
    assert row["metrics"]["nWebActionsOffered"] == 1
