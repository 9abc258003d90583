"""`offerlog webhooks`, as a user runs it."""

from support.command_line import CommandLine, an_id, signal_of
from support.receiver import Answer, receiving


def test_a_webhook_is_made_tried_changed_and_deleted(offerlog: CommandLine) -> None:
    """The secret is printed when it is made, and never again."""
    # given
    offerlog = offerlog.with_settings(OFFERLOG_WEBHOOK_NETWORKS="127.0.0.1")
    offerlog.judged(signal_of("offered", an_id(), an_id()))
    with receiving() as receiver:
        # when
        made = offerlog("webhooks", "create", receiver.url, "--type", "offered", "--after", "0").json
        tried = offerlog("webhooks", "test", made["id"]).json
        other = offerlog("webhooks", "rotate", made["id"], "--keep", "12h").json
        receiver.answers = [Answer(410)]
        assert offerlog("webhooks", "test", made["id"], code=1).json["status"] == 410
    offerlog("webhooks", "disable", made["id"])
    listed = offerlog("webhooks", "list")
    # then
    assert tried | {"seconds": 0} == {"delivered": True, "status": 204, "error": None, "seconds": 0}
    assert receiver.got[0].verify(made["secret"])["type"] == "io.offerlog.webhook-test.v1"
    receiver.got[1].verify(other["secret"])
    shown = listed.json
    assert (shown["disabled_because"], shown["types"]) == ("operator", ["offered"])
    assert shown["lag_events"] >= 1  # tests share the store
    assert not {made["secret"], other["secret"]} & {*listed.text.split('"')}
    assert offerlog("webhooks", "enable", made["id"], "--skip").json["cursor"] != "0"
    assert offerlog("webhooks", "dead-letters", made["id"]).text == ""
    assert offerlog("webhooks", "send-again", made["id"]).json["waiting"] == 0
    assert offerlog("webhooks", "delete", made["id"]).json == {"deleted": made["id"]}
    assert ": URL: " in offerlog.fails("webhooks", "create", "http://10.1.2.3/")
    assert ": --type: 'clicked' is not" in offerlog.fails(
        "webhooks", "create", "https://a.example/", "--type", "clicked"
    )
