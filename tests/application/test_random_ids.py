"""Random ids are random UUIDs, whichever thread takes them."""

from concurrent.futures import ThreadPoolExecutor

from offerlog_application.recording.random_ids import RandomIds


def test_no_id_is_given_twice() -> None:
    """Taken by many threads, more of them than are drawn at a time."""
    ids = RandomIds()
    with ThreadPoolExecutor(8) as pool:
        taken = [
            one for some in pool.map(lambda _: [ids.take() for _ in range(500)], range(8)) for one in some
        ]
    assert len(set(taken)) == 4_000
    assert {one.version for one in taken} == {4}
