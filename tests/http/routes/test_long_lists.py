"""Pages of lists end at so many bytes, go on in either order, and cost nothing while nobody reads."""

import json
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from offerlog_infrastructure.http.responses import pages
from offerlog_infrastructure.postgres.reads import lists
from offerlog_infrastructure.postgres.reads.streaming import stream_rows
from offerlog_infrastructure.postgres.refusals import refusal_log
from support.http_site import Site
from support.raw_http import asking
from support.recount import rows

pytest_plugins = ("support.http_site",)


def test_a_page_ends_at_its_bytes_and_goes_on(
    site: Site, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either order every refusal comes once, however few fit on a page; the newest first if asked for."""
    monkeypatch.setattr(pages, "PAGE_BYTES", 10_000)
    site.service.record([b"%d " % number + b"\x00" * 3_000 for number in range(7)])
    for order in ("oldest", "newest"):
        seen: list[str] = []
        cursor: str | None = ""
        count = 0
        while cursor is not None:
            page = admin.get(
                "/v1/refusals", params={"order": order, **({"cursor": cursor} if cursor else {})}
            )
            assert len(page.content) < 30_000
            items, cursor = page.json()["items"], page.json()["next_cursor"]
            seen += [one["signal"].partition(" ")[0] for one in items]
            count += 1
        expected = [str(number) for number in range(7)]
        assert seen == (expected if order == "oldest" else expected[::-1])
        assert count == 7


def test_a_cursor_goes_on_in_either_order(site: Site, admin: httpx.Client) -> None:
    """A page back from where the reader is, within the time and reason asked for."""
    site.service.record([b"no signal %d" % number for number in range(6)])

    def page(**asked: str) -> tuple[list[str], str]:
        answer = admin.get("/v1/refusals", params={"limit": "2", "reason": "malformed", **asked})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return [one["signal"][-1] for one in found["items"]], found["next_cursor"]

    first, cursor = page(order="newest")
    second, cursor = page(order="newest", cursor=cursor)
    back, _ = page(order="oldest", cursor=cursor)
    assert (first, second, back) == (["5", "4"], ["3", "2"], ["3", "4"])
    assert page(order="newest", until="2020-01-01T00:00:00Z")[0] == []
    assert admin.get("/v1/refusals?order=sideways").json()["field"] == "order"


def test_readers_that_do_not_read_hold_little(site: Site, admin: httpx.Client) -> None:
    """Of a list of tens of megabytes, each holds a piece and the page it comes from."""
    made: list[int] = []
    page = stream_rows

    def counted(*asked: object, **more: object) -> Iterator[object]:
        for row in page(*asked, **more):  # type: ignore[arg-type] # passed on as it came
            made.append(1)
            yield row

    site.service.record([b"\x01" * 4_000] * 2_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusal_log, "stream_rows", counted)
        readers = [asking(site, "/v1/refusals", "application/x-ndjson") for _ in range(5)]
        quiet = _when_quiet(made)
        for reader in readers:
            reader.close()
    # 2,000 rows are 48 MB of JSON; what fits into the buffers of the two sockets is a few of them.
    assert quiet < 5 * 1_000
    lines = admin.get("/v1/refusals", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert len(lines) == 2_000
    assert json.loads(lines[0])["signal"] == "\x01" * 4_000


def _when_quiet(made: list[int]) -> int:
    """How many there are when no more have come for two seconds."""
    known, since = -1, time.monotonic()
    while time.monotonic() - since < 2:
        if len(made) != known:
            known, since = len(made), time.monotonic()
        time.sleep(0.05)
    return known


def test_a_long_history_comes_in_pages(
    site: Site, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state and version are those of the whole; by the visitor in the path as in the query."""
    action_map = str(uuid.uuid4())
    signals = []
    for _ in range(20):
        fields = {"actionId": str(uuid.uuid4()), "actionMapId": action_map, "sessionId": str(uuid.uuid4())}
        signals += [fields | {"customerId": "v", "actionState": state} for state in ("offered", "errored")]
    assert {one.kind.value for one in site.service.record(signals).outcomes} == {"recorded"}
    monkeypatch.setattr(pages, "PAGE_BYTES", 5_000)
    for path in (f"/v1/visitors/v/action-maps/{action_map}/history", "/v1/history"):
        asked = {} if "visitors" in path else {"customer_id": "v", "action_map_id": action_map}
        seen: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            page = admin.get(path, params=asked | ({"cursor": cursor} if cursor else {}) | {"limit": "7"})
            assert len(page.content) < 6_000
            found = page.json()
            assert (found["state"], found["version"]) == ("errored", 40)
            seen += [event["version"] for event in found["events"]]
            cursor = found["next_cursor"]
        assert seen == list(range(1, 41))
    assert admin.get(path, params=asked | {"cursor": "x"}).json()["field"] == "cursor"


def test_a_batch_of_visitors_with_very_many_suppressions_is_refused(
    site: Site, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together, one named twice counted twice: what is asked for decides how much is answered."""
    # given two visitors with 40 suppressions each, where a batch may have 100
    monkeypatch.setattr(lists, "MAX_SUPPRESSIONS", 100)
    signals = [
        {
            "actionId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{visitor} {number}")),
            "actionState": state,
            "actionMapId": str(uuid.UUID(int=number)),
            "customerId": visitor,
            "sessionId": str(uuid.UUID(int=1)),
        }
        for visitor in ("one", "other")
        for number in range(40)
        for state in ("offered", "rejected")
    ]
    site.service.wait(site.service.record(signals).position)
    # when batches name them
    one, other = {"customerId": "one"}, {"customerId": "other"}
    answers = [
        admin.post("/v1/suppressions:batch", json={"visitors": visitors})
        for visitors in ([one, other], [one, one], [one, one, other], [one] * 1_000)
    ]
    # then those that would have more are refused, and a single visitor never is
    assert [answer.status_code for answer in answers] == [200, 200, 400, 400]
    assert [len(each["suppressions"]) for each in answers[0].json()["visitors"]] == [40, 40]
    assert (answers[3].json()["field"], answers[3].json()["type"]) == (
        "visitors",
        "/problems/malformed-request",
    )
    monkeypatch.setattr(lists, "MAX_SUPPRESSIONS", 10)
    assert len(admin.get("/v1/visitors/one/suppressions").json()["suppressions"]) == 40


def test_a_revoked_key_ends_its_lists(site: Site, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within seconds, and broken off: a list that is cut must not look whole."""
    # given a list in many pieces, of which somebody has read the first
    monkeypatch.setattr(pages, "_PIECE_BYTES", 4_000)
    site.service.record([b"%d " % number + b"x" * 3_000 for number in range(4_000)])
    with site.client() as admin:
        headers = {"accept": "application/x-ndjson"}
        with admin.stream("GET", "/v1/refusals", headers=headers) as answer:
            pieces = answer.iter_raw(1_000)
            assert next(pieces)
            # when another process revokes the key
            rows(dsn, "UPDATE api_keys SET revoked_at = now()")
            time.sleep(6)
            # then the rest ends before its end
            with pytest.raises(httpx.RemoteProtocolError):
                sum(len(piece) for piece in pieces)
