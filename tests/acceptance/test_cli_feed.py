"""`offerlog events follow` and `events subscriptions`, as a user runs them."""

import json
import signal
import subprocess

from support.command_line import COMMAND_ENTRY, CommandLine, an_id, ndjson, signal_of
from support.preloaded import preloaded
from support.processes import LimitedProcess


def test_events_are_followed_with_a_filter_from_the_cursor_of_a_subscription(offerlog: CommandLine) -> None:
    """It moves when they are printed, so the next run has the rest alone; each line is a CloudEvent."""
    # given
    action, action_map = an_id(), an_id()
    follow = ("events", "follow", "--subscription", "warehouse", "--until-now")
    offerlog.judged(signal_of("offered", action, action_map), signal_of("accepted", action, action_map))
    # when
    begun = offerlog(*follow, "--format", "json", "--type", "accepted", "--identified")
    first = begun.lines
    offerlog.judged(signal_of("started", action, action_map))
    went_on = offerlog(*follow, "--action-map", action_map)
    second = went_on.text
    listed = offerlog("events", "subscriptions", "--format", "json").json
    # then
    assert "'warehouse' is a new subscription, which begins after position 0" in begun.errors
    assert "new subscription" not in went_on.errors
    assert [one["type"] for one in first] == ["io.offerlog.accepted.v1"]
    assert first[0]["data"]["action_id"] == action
    assert second.split()[2:] == ["started", first[0]["subject"]]
    assert (listed["name"], listed["lag_events"]) == ("warehouse", 0)
    assert "never moves back" in offerlog.fails(*follow, "--after", "0")
    assert "--type: 'clicked' is not a type" in offerlog.fails("events", "follow", "--type", "clicked")
    assert offerlog("events", "subscriptions", "--delete", "warehouse").text == "There is no subscription.\n"


def test_it_waits_for_what_is_recorded_until_it_is_interrupted(offerlog: CommandLine) -> None:
    """An event is printed as soon as it is there, and Ctrl-C ends the command in order."""
    with LimitedProcess(
        [*preloaded(COMMAND_ENTRY), "events", "follow", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=offerlog.environment,
        seconds=60,
    ) as run:
        assert run.stdout is not None
        offerlog("record", "-", given=ndjson(signal_of("offered", an_id(), an_id())))
        line = json.loads(run.stdout.readline())
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert line["type"] == "io.offerlog.offered.v1"
    assert (run.returncode, errors) == (130, b"offerlog: interrupted\n")
