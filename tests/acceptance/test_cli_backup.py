"""`offerlog restore --later-store`: who was erased is known from the store that the backup was made of."""

from pathlib import Path

from offerlog_infrastructure.composition import open_offerlog
from support.command_line import CommandLine, an_id, signal_of
from support.ready_stores import put_store


def test_a_backup_is_restored_without_those_who_were_erased_since(cli_folder: Path) -> None:
    """As it was at the backup; behind a later checkpoint it is a fork."""
    # given a store in use, with a key that signs, and its backup
    put_store(cli_folder / "store")
    offerlog = CommandLine(cli_folder / "store", "default").with_settings(
        OFFERLOG_AUDIT_KEY=str(cli_folder / "audit.key"), OFFERLOG_CHECKPOINTS=str(cli_folder / "outside")
    )
    dump, action_map = cli_folder / "offerlog.dump", an_id()
    with open_offerlog(data=cli_folder / "store", keep_deadlines=False) as service:
        service.record([signal_of("offered", an_id(), action_map, customerId=f"v{n}") for n in range(3)])
        offerlog("audit", "keygen", "--origin", "example.com/offers")
        made = offerlog("backup", str(dump)).json
        # when somebody is erased, more is recorded, and all of it is signed
        offerlog("erase", "--customer", "v1")
        service.record([signal_of("offered", an_id(), action_map, customerId="later")])
        offerlog("audit", "checkpoint")
        new = CommandLine(cli_folder / "new", "default", offerlog.settings)
        restored = new("restore", str(dump), "--later-store", str(cli_folder / "store"))
    # then the new store is that of the backup, and the erased visitor is not in it
    assert made["position"] >= 3  # an append that is tried again leaves positions empty
    assert made["bytes"] == dump.stat().st_size
    assert dump.stat().st_mode & 0o777 == 0o600
    assert (restored.json["erased_again"], restored.json["held"], restored.json["fork"]) == (1, 0, True)
    assert "it is a fork" in restored.errors
    assert "nothing is held of this visitor" in new.fails("access", "--customer", "v1", code=1)
