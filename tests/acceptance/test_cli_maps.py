"""`offerlog maps set | list | history`: the policies of action maps."""

from support.command_line import CommandLine, an_id, signal_of


def test_a_policy_ends_a_suppression_that_is_there_already(offerlog: CommandLine) -> None:
    """The list says until when, and every policy stays in the log."""
    # given
    action_map, action = an_id(), an_id()
    offerlog.judged(
        signal_of("offered", action, action_map, "2026-01-01T10:00:00Z"),
        signal_of("ignored", action, action_map, "2026-01-02T10:00:00Z"),
    )
    listing = "suppressions", "--action-map", action_map
    # when
    long = offerlog("maps", "set", action_map.upper(), "--suppress-for", "ignored=3650d", "--by", "Ann").json
    still = offerlog(*listing).lines
    offerlog("maps", "set", action_map, "--suppress-for", "ignored=12h", "--suppress-for", "timedout=1w")
    # then
    short = {"ignored": 43_200, "timedout": 604_800}
    assert long == {"action_map_id": action_map, "suppress_for": {"ignored": 315_360_000}}
    assert [one["until"] for one in still] == ["2035-12-31T10:00:00Z"]
    assert offerlog(*listing).lines == []
    assert [one["suppress_for"] for one in offerlog("maps", "list").lines] == [short]
    history = offerlog("maps", "history", action_map).lines
    assert [(one["suppress_for"], one["set_by"]) for one in history] == [
        ({"ignored": 315_360_000}, "Ann"),
        (short, ""),
    ]


def test_a_policy_that_cannot_be_says_what_is_wrong(offerlog: CommandLine) -> None:
    """It is a usage error, and nothing is set."""
    wrong = {
        (): "give --suppress-for STATE=TIME, such as ignored=30d, or --for-ever",
        ("--suppress-for", "ignored"): "'ignored' is not STATE=TIME",
        ("--suppress-for", "ignored=1d", "--suppress-for", "ignored=2d"): "ignored is given twice",
        ("--suppress-for", "errored=1d"): "'errored' does not suppress an offer",
        ("--suppress-for", "ignored=soon"): "ignored: a number of seconds is needed",
    }
    for options, words in wrong.items():
        assert words in offerlog.fails("maps", "set", an_id(), *options)
