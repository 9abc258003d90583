"""Events and actions as tables: either store gives the same rows, and the counts of the report."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from offerlog import ArgumentError, Offerlog, ReportQuery, State
from offerlog.testing import SettableClock
from offerlog_application.reading import exports
from offerlog_application.reading.exports import Export, ExportRequest
from offerlog_domain.metrics import METRICS, Cohort, Granularity, MetricSet
from support.either_service import EITHER_STORE, open_either
from support.journeys import DAY, an_id, journeys, signal
from support.positions import number_of

ENDS = {State.REJECTED, State.IGNORED, State.ERRORED, State.TIMEDOUT, State.ABANDONED, State.ENGAGED}


@pytest.fixture(params=EITHER_STORE)
def service(
    request: pytest.FixtureRequest, make_dsn: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Offerlog]:
    """A service over either store, which reads streams in small pages."""
    monkeypatch.setattr(exports, "_STREAM_EVENTS", 7)
    with open_either(request.param, make_dsn, SettableClock(DAY + timedelta(days=1))) as opened:
        yield opened


def rows_of(export: Export) -> list[dict[str, Any]]:
    """All rows of an export, with the names of the columns."""
    names = [column.name for column in export.columns]
    return [dict(zip(names, row, strict=True)) for batch in export.batches for row in batch.rows]


def counted(service: Offerlog, cohort: Cohort) -> Counter[tuple[str, State]]:
    """What the report counts, by map and state."""
    report = service.report(ReportQuery("default", view=MetricSet.ALL, cohort=cohort))
    return Counter(
        {
            (row.action_map_id, state): row.metrics[metric]
            for row in report.rows
            for state, metric in METRICS.items()
        }
    )


def test_a_report_as_of_a_position_is_the_one_that_was_made_there(service: Offerlog) -> None:
    """Whatever was recorded since. A position that the log does not have is refused."""
    # given
    query = ReportQuery("default", view=MetricSet.FULL, by=Granularity.HOUR)
    position = number_of(service.record(journeys(14)[:20]).position)
    service.wait(position)
    before = service.report(query)
    service.wait(service.record(journeys(14)[20:]).position)
    # when
    found, last = service.exports.report_as_of(query, position)
    # then
    assert (found, last) == (before, position)
    assert service.report(query) != before
    assert service.exports.report_as_of(query, 0)[0].rows == ()
    with pytest.raises(ArgumentError, match=r"as_of: 9,999 is not a position of the log"):
        service.exports.report_as_of(query, 9_999)


def test_events_and_actions_count_what_the_report_counts(service: Offerlog) -> None:
    """Each event once, each action once with its steps; another tenant's are not there."""
    # given
    position = service.record(journeys(49)).position
    service.record(journeys(8), organization="other")
    service.wait(position)
    # when
    events, actions = (
        rows_of(one(ExportRequest())) for one in (service.exports.events, service.exports.actions)
    )
    # then
    steps = Counter((one["action_map_id"], one["state"]) for one in events if one["state"])
    assert +steps == +counted(service, Cohort.EVENT)
    assert [one["position"] for one in events] == sorted({one["position"] for one in events})
    assert {one["name"] for one in events if not one["state"]} == {"offer-refused"}
    funnel: Counter[tuple[str, State]] = Counter()
    for one in actions:
        reached = [State.OFFERED, *([one["state"]] if one["state"] in ENDS else [])]
        reached += [state for state in (State.ACCEPTED, State.STARTED) if one[f"{state}_at"]]
        funnel.update((one["action_map_id"], state) for state in reached)
        assert (one["ended_at"] is None) == (one["state"] not in ENDS)
        assert one["subject"].replace("-", "").startswith(one["visitor"])
    assert +funnel == +counted(service, Cohort.OFFERED)
    assert "customer_id" not in {*events[0], *actions[0]}


def test_an_export_goes_on_where_the_last_one_ended_and_shows_the_log_as_it_was(service: Offerlog) -> None:
    """Two parts are the whole, an old position gives the old rows, and a changed action comes again."""
    # given
    service.record(journeys(14))
    service.record([signal("offered", visitor=20)])
    before = rows_of(service.exports.actions(ExportRequest()))
    first = service.exports.events(ExportRequest())
    rows = rows_of(first)
    service.record([signal("accepted", visitor=20)])
    # when
    new = rows_of(service.exports.events(ExportRequest(after=first.as_of)))
    changed = rows_of(service.exports.actions(ExportRequest(after=first.as_of)))
    # then
    assert [one["state"] for one in new] == ["accepted"]
    assert rows_of(service.exports.events(ExportRequest())) == rows + new
    assert rows_of(service.exports.events(ExportRequest(as_of=first.as_of))) == rows
    assert rows_of(service.exports.actions(ExportRequest(as_of=first.as_of))) == before
    assert [(one["action_number"], one["state"], one["position"]) for one in changed] == [
        (1, "accepted", new[0]["position"])
    ]
    assert not rows_of(service.exports.events(ExportRequest(after=new[0]["position"])))
    for request in (ExportRequest(after=10_000), ExportRequest(as_of=10_000), ExportRequest(as_of=-1)):
        with pytest.raises(ArgumentError, match="is not a position of the log"):
            service.exports.events(request)


def test_rows_are_chosen_by_time_and_action_map(service: Offerlog) -> None:
    """Of events their own time, of actions that of the offer; the end is exclusive."""
    service.record(journeys(21))
    events, actions = (
        rows_of(one(ExportRequest())) for one in (service.exports.events, service.exports.actions)
    )
    first, end = DAY + timedelta(minutes=5), DAY + timedelta(minutes=15)
    chosen = ExportRequest(start=first, end=end, action_maps=[an_id("map", 1)])
    for rows, time, export in (
        (events, "occurred_at", service.exports.events),
        (actions, "offered_at", service.exports.actions),
    ):
        wanted = [one for one in rows if first <= one[time] < end and one["action_map_id"] == an_id("map", 1)]
        assert 0 < len(wanted) < len(rows)
        assert rows_of(export(chosen)) == wanted


def test_rows_are_chosen_by_media_type(service: Offerlog) -> None:
    """Of a visitor-offer with two media types each action by its own; an erasure is there for every one."""
    # given chats, and one visitor-offer whose first action was a web chat and whose second was content
    service.record(journeys(6))
    service.record([signal("errored", visitor=9), signal("offered", visitor=9)])
    content: dict[str, Any] = {"actionMediaType": "contentOffer", "action": 2}
    position = service.record(
        [signal("offered", visitor=9, **content), signal("accepted", visitor=9, **content)]
    ).position
    service.wait(position)
    service.erase(customer_id="visitor-0")
    exports = service.exports.events, service.exports.actions
    all_events, all_actions = (rows_of(export(ExportRequest())) for export in exports)
    # when
    for media_type, count in (
        ("contentOffer", 1),
        ("webchat", len(all_actions) - 1),
        ("webMessagingOffer", 0),
    ):
        request = ExportRequest(media_type=media_type)
        events, actions = (rows_of(export(request)) for export in exports)
        # then
        assert events == [one for one in all_events if one["media_type"] in {media_type, None}]
        assert [one["name"] for one in events if one["media_type"] is None] == ["visitor-erased"]
        assert actions == [one for one in all_actions if one["media_type"] == media_type]
        assert len(actions) == count
    for export in exports:
        with pytest.raises(ArgumentError, match="media_type: 'openAction' is not one of webchat"):
            export(ExportRequest(media_type="openAction"))


def test_what_identifies_somebody_is_there_when_it_is_asked_for_and_never_of_the_erased(
    service: Offerlog,
) -> None:
    """The rows of an erased visitor stay, so that counts do, and the erasure is an event itself."""
    # given
    service.record(journeys(4))
    service.wait(
        service.record(
            [signal("errored", visitor=9, errorCode="00045"), signal("offered", visitor=9)]
        ).position
    )
    thin = rows_of(service.exports.actions(ExportRequest()))
    # when
    service.erase(customer_id="visitor-0")
    events, actions = (
        rows_of(one(ExportRequest(is_identified=True)))
        for one in (service.exports.events, service.exports.actions)
    )
    # then
    assert len(actions) == len(thin)
    known = {one["customer_id"]: one for one in actions}
    assert set(known) == {None, "visitor-1", "visitor-2", "visitor-3", "visitor-9"}
    assert (known["visitor-9"]["error_code"], known["visitor-9"]["customer_id_type"]) == ("00045", "cookie")
    assert known["visitor-1"]["action_id"] == an_id("action", 1, 1)
    assert known["visitor-1"]["session_id"] == an_id("session", 1)
    assert {one["customer_id"] for one in events} == set(known)
    erased = [one for one in events if one["name"] == "visitor-erased"]
    assert [one["visitor"] for one in erased] == [known[None]["visitor"]]
    by_time = rows_of(service.exports.events(ExportRequest(start=DAY, end=DAY + timedelta(minutes=15))))
    assert erased[0]["position"] in {one["position"] for one in by_time}
