"""Action maps by their names, and times relative to now, in every command that takes them."""

from support.command_line import CommandLine, an_id, signal_of

NAME = "Checkout help for everybody"


def test_a_map_is_named_by_its_display_name_in_every_command(offerlog: CommandLine) -> None:
    """And an unknown name is an error that says so, not a list without entries."""
    # given
    action, action_map = an_id(), an_id()
    offerlog.judged(
        *(signal_of(state, action, action_map, actionMapName=NAME) for state in ("offered", "ignored"))
    )
    pair = "--customer", "v1", "--action-map"
    commands = {
        ("eligibility", *pair): "terminal_state",
        ("offer", "--session", an_id(), *pair): "terminal_state",
        ("history", "--format", "json", *pair): action,
        ("history", "--all", "--format", "json", *pair): action_map,
        ("visitor", "--format", "json", *pair): action_map,
        ("suppressions", "--action-map"): action,
        ("events", "follow", "--until-now", "--format", "json", "--action-map"): action_map,
        ("webhooks", "create", "https://shop.example/", "--action-map"): action_map,
        ("maps", "set", "--suppress-for", "ignored=30d"): action_map,
        ("maps", "history"): '"suppress_for"',
        ("refusals", "--action-map"): "",
    }
    for words, expected in commands.items():
        # when
        found = offerlog(*words, NAME).text
        wrong = offerlog.fails(*words, NAME[:-1])
        # then
        assert expected in found, words
        assert found == "" or expected, words
        assert "is neither the id nor the name of an action map: did you mean" in wrong, words


def test_times_are_relative_to_now_in_every_command(offerlog: CommandLine) -> None:
    """As in reports; dates and times as before."""
    # given
    action, action_map = an_id(), an_id()
    offerlog.judged(signal_of("offered", action, action_map))
    pair = "--customer", "v1", "--action-map", action_map
    history = "history", *pair, "--format", "json", "--as-of"
    visitor = "visitor", *pair, "--format", "json", "--as-of"
    # when
    past, present = (
        [len(offerlog(*history, text).json["events"]) for text in texts]
        for texts in (
            ("yesterday", "-1d", "2000-01-01"),
            ("now", "tomorrow"),
        )
    )
    # then
    assert (past, present) == ([0] * 3, [1] * 2)
    assert (offerlog(*visitor, "-2h").text, action in offerlog(*visitor, "now").text) == ("", True)
    offerlog("refusals", "--since", "-1d", "--until", "tomorrow", "--count")
    for words in (history, visitor, ("refusals", "--since"), ("refusals", "--until")):
        wrong = offerlog.fails(*words, "-1x")
        assert "'-1x' is not a time: give 2026-11-22, " in wrong
        assert "-24h, -7d, -4w, -1mo" in wrong
