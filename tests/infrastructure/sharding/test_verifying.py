"""The comparison of the stores of an installation finds what is out of place, and nothing else."""

from collections.abc import Callable, Iterator

import pytest

from offerlog_infrastructure.installation import Installation
from support.installations import Stores, make_stores
from support.journeys import an_id, journeys
from support.keyrings import run_keyring
from support.recount import rows


@pytest.fixture(scope="module")
def stores(make_module_dsn: Callable[[], str]) -> Iterator[Stores]:
    """A home and a shard with visitors on both, and a policy."""
    with make_stores(make_module_dsn, "8-f") as stores:
        with stores.open() as service:
            service.policies.set(an_id("map"), {})
            service.record(journeys(40))
        yield stores


def _verify(stores: Stores) -> str:
    with Installation(None, stores.dsns[0], run_keyring()) as installation:
        return "; ".join(installation.verify())


@pytest.mark.parametrize(
    ("number", "spoil", "mend", "fault"),
    [
        (
            1,
            "UPDATE slices SET is_owned = false WHERE slice = 9",
            "UPDATE slices SET is_owned = true WHERE slice = 9",
            "slice 9: the directory gives it to shard 1, and its owner is none",
        ),
        (
            0,
            "UPDATE slices SET is_owned = true WHERE slice = 15",
            "UPDATE slices SET is_owned = false WHERE slice = 15",
            "slice f: the directory gives it to shard 1, and its owner is 0 and 1",
        ),
        (
            1,
            "INSERT INTO visitors VALUES (1, '10000000-0000-8000-8000-000000000000', 1, 'default', '', '')",
            "DELETE FROM visitors WHERE token = 1",
            "shard 1 holds visitors of slice 1, which it does not have: 1",
        ),
        (
            1,
            (
                "INSERT INTO offerlog_events"
                " VALUES (3298534883337, 1, '80000000-0000-8000-8000-000000000000', 'x', '')"
            ),
            "DELETE FROM offerlog_events WHERE topic = 'x'",
            "shard 1 holds events of the log of shard 3, which there is not: 1",
        ),
        (
            1,
            (
                "INSERT INTO leaving_slices VALUES (3, 0, 7); INSERT INTO visitors"
                " VALUES (1, '30000000-0000-8000-8000-000000000000', 1, 'default', '', '')"
            ),
            "DELETE FROM leaving_slices; DELETE FROM visitors WHERE token = 1",
            "slice 3 was moved to shard 0, and shard 1 still has its visitors: 1; the move has not ended",
        ),
        (
            0,
            "INSERT INTO action_map_policies VALUES (gen_random_uuid(), 'other', '{\"rejected\": 1}')",
            "DELETE FROM action_map_policies WHERE organization = 'other'",
            "shard 1 has other policies of action maps than the home: set them again",
        ),
        (
            1,
            (
                "INSERT INTO organizations (organization, kek, wrapped_secret)"
                " SELECT 'other', kek, wrapped_secret FROM organizations"
            ),
            "DELETE FROM organizations WHERE organization = 'other'",
            "shard 1 has another secret of the organization 'other' than the home",
        ),
    ],
)
def test_what_is_out_of_place_is_named(
    stores: Stores, number: int, spoil: str, mend: str, fault: str
) -> None:
    """And nothing else."""
    assert _verify(stores) == ""
    rows(stores.dsns[number], spoil)
    assert _verify(stores) == fault
    rows(stores.dsns[number], mend)
    assert _verify(stores) == ""
