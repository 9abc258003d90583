"""A store of which a part is archived answers byte for byte as its twin without an archive."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from offerlog_application.offerlog import Offerlog
from offerlog_application.ports.erasure import NoSuchVisitorError
from offerlog_application.ports.performance_counts import ReportQuery
from offerlog_application.ports.positions import LogPosition
from offerlog_application.reading.exports import ExportRequest
from offerlog_domain.errors import OfferlogError
from offerlog_domain.lifecycle import State
from support.databases import Databases
from support.journeys import DAY, an_id
from support.recount import rows
from support.twin_stores import LATER, MAPS, Twins, dated, open_twins

VISITORS: Final = [f"visitor-{n}" for n in (*range(30), 200, 201, 202, 203, 300, 301, 999)]

KNOWN: Final = [one for one in VISITORS if one not in {"visitor-14", "visitor-21", "visitor-999"}]
"""Those who are in the store. A new visitor gets a random token, which orders the events of a commit."""


@pytest.fixture(scope="module")
def twins(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Two stores that only read."""
    with open_twins(databases, tmp_path_factory.mktemp("twins")) as made:
        yield made


@pytest.fixture
def fresh_twins(databases: Databases, tmp_path: Path) -> Iterator[Twins]:
    """Two stores that a test may write to."""
    with open_twins(databases, tmp_path) as made:
        yield made


Read = Callable[[Offerlog], Any]


def each(read: Callable[..., Any], visitors: Sequence[str] = VISITORS, **more: Any) -> list[Any]:
    """The answer for each visitor and action map; an error is an answer, too."""
    found = []
    for visitor in visitors:
        for action_map in MAPS:
            try:
                answer = read(customer_id=visitor, action_map_id=action_map, **more)
            except OfferlogError as error:
                answer = repr(error)
            found.append(answer)
    return found


def of_each_visitor(read: Callable[..., Any]) -> list[Any]:
    """The answer for each visitor; an error is an answer, too."""
    found: list[Any] = []
    for visitor in VISITORS:
        try:
            answer = read(customer_id=visitor)
            found.append(list(answer) if hasattr(answer, "__iter__") else answer)
        except OfferlogError as error:
            found.append(repr(error))
    return found


def pages_of_visitors(service: Offerlog) -> list[Any]:
    """All pages of the list of recent visitors."""
    found, behind = [], None
    while True:
        page = service.analysis.recent_visitors(behind=behind, limit=7)
        found.append(page)
        behind = page.behind
        if behind is None:
            return found


def feed_pages(service: Offerlog, limit: int) -> list[Any]:
    """All pages of the feed, with the fields that identify somebody."""
    found = []
    after: LogPosition = 0
    while True:
        page = service.feed.page(after, limit=limit, identified=True)
        found.append(page)
        if page.is_end:
            return found
        after = page.position


def export(made: Any) -> list[Any]:
    """All of an export."""
    return [made.columns, made.as_of, [row for batch in made.batches for row in batch.rows]]


def slice_rows(service: Offerlog) -> list[Any]:
    """The log in slices."""
    assert service.slices is not None
    last = service.position()
    return [
        row
        for bounds in service.slices.all()[0].divide(last)
        for page in service.slices.all()[0].read(bounds, last)
        for row in page
    ]


def explained(service: Offerlog, state: State) -> Any:
    """The events behind a count."""
    found = service.issued_reports.explain(ReportQuery(service.organization, action_maps=(MAPS[0],)), state)
    return found.position, found.count, list(found.events)


def proofs_of_tree(service: Offerlog) -> list[Any]:
    """The proof of each event."""
    assert service.evidence is not None
    return [service.evidence.prove(event.position) for event in service.feed.events()]


def audit(service: Offerlog) -> Any:
    """The result of `audit verify`."""
    assert service.evidence is not None
    return service.evidence.verify()


def raw_log(service: Offerlog) -> Any:
    """The log as audits read it."""
    assert service.evidence is not None
    tree, last = service.evidence.tree, service.position()
    return list(tree.rows(0, last)), list(tree.raw_rows(0, last)), list(tree.raw_rows(3, 60))


def bundle_pages(service: Offerlog) -> Any:
    """What a bundle is made of."""
    assert service.evidence is not None
    page = service.evidence.source.read(0, service.position())
    return page.rows, page.page


READS: Final[dict[str, Read]] = {
    "eligibility": lambda one: each(one.eligibility),
    "history": lambda one: each(one.history),
    "history at a version": lambda one: each(one.history, version=1),
    "timeline": lambda one: of_each_visitor(one.timeline),
    "timeline of a map": lambda one: of_each_visitor(
        lambda customer_id: one.timeline(customer_id=customer_id, action_map_id=MAPS[0])
    ),
    "visitor data": lambda one: of_each_visitor(one.visitor_data),
    "suppressions": lambda one: of_each_visitor(one.suppressions),
    "visitor": lambda one: of_each_visitor(one.analysis.visitor),
    "recent visitors": pages_of_visitors,
    "report": lambda one: one.report(ReportQuery(one.organization)).rows,
    "blocked offers": lambda one: one.analysis.blocked_offers(ReportQuery(one.organization)),
    "funnel": lambda one: one.analysis.funnel(ReportQuery(one.organization)),
    "feed": lambda one: feed_pages(one, 500),
    "feed in small pages": lambda one: feed_pages(one, 13),
    "end of the feed": lambda one: one.feed.end(),
    "export of events": lambda one: export(one.exports.events(ExportRequest(is_identified=True))),
    "export of events behind a position": lambda one: export(
        one.exports.events(ExportRequest(after=40, as_of=90))
    ),
    "export of actions": lambda one: export(one.exports.actions(ExportRequest(is_identified=True))),
    "export of actions as of": lambda one: export(one.exports.actions(ExportRequest(as_of=90))),
    "raw log": raw_log,
    "proofs of the tree": proofs_of_tree,
    "audit": audit,
    "bundle": bundle_pages,
    "slices": slice_rows,
    "explained": lambda one: [explained(one, state) for state in State],
    "proofs": lambda one: one.verify(),
    "kinds": lambda one: one.stored_kinds(),
    "dead letters": lambda one: one.dead_letters(),
    "lag of subscriptions": lambda one: one.subscriptions.all(),
    "lag of webhooks": lambda one: one.webhooks.all(),
    "position": lambda one: (one.position(), one.projections()),
    "moments": lambda one: [
        one.issued_reports._replays.position_at(DAY + timedelta(hours=hours)) for hours in range(0, 2500, 50)
    ],
    "settled positions": lambda one: [
        one.issued_reports._replays.settle(position) for position in range(1, one.position(), 3)
    ],
    "changes": lambda one: [
        one.changes.changed_maps(position, position + 9) for position in range(0, 150, 5)
    ],
    "report as of": lambda one: one.exports.report_as_of(ReportQuery(one.organization), 90),
    "replay of a report": lambda one: one.issued_reports.replay(one.organization, one.position()),
}


def test_a_part_of_the_log_is_archived(twins: Twins) -> None:
    """Whole streams of it, and a part stays in the table."""
    moved = rows(twins.dsns[1], "SELECT sum(events), count(*), count(DISTINCT slice) FROM archived_files")
    assert moved == [(twins.part.events, twins.part.files, twins.part.files)]
    assert twins.part.events > 100
    assert twins.part.streams > 30
    left = rows(twins.dsns[1], "SELECT count(*) FROM offerlog_events")[0][0]
    assert left + twins.part.events == rows(twins.dsns[0], "SELECT count(*) FROM offerlog_events")[0][0]
    assert rows(twins.dsns[1], "SELECT * FROM archive_leftovers") == []


@pytest.mark.parametrize("name", READS)
def test_both_answer_alike(twins: Twins, name: str) -> None:
    """Byte for byte."""
    read = READS[name]
    assert read(twins.archived) == read(twins.plain)


def late_signals() -> list[bytes]:
    """Repeats of everything, states that are too late, and new offers; of nobody who was erased."""
    visitors = [n for n in range(30) if n not in {14, 21}]
    again = [dated(DAY, state, visitor=n, actionMapId=MAPS[n % 3]) for n in visitors for state in State]
    new = [
        dated(LATER, state, visitor=n, action=77, actionMapId=MAPS[n % 3], eventId=an_id("late", n, state))
        for n in visitors
        for state in ("offered", "accepted", "rejected")
    ]
    return [json.dumps(one).encode() for one in [*again, *new]]


def test_late_signals_have_the_same_outcomes(fresh_twins: Twins) -> None:
    """A terminal pair stays terminal, and a new action goes on where the archived ones ended."""
    twins = fresh_twins
    lines = late_signals()
    for _ in range(2):
        plain, archived = (service.record(lines) for service in (twins.plain, twins.archived))
        assert archived.outcomes == plain.outcomes
        assert archived.position == plain.position
    asked = {"session_id": an_id("session"), "timeout_seconds": 20}
    plain_offers, offers = (
        each(service.offer, KNOWN, **asked, action_id=an_id("asked"))
        for service in (twins.plain, twins.archived)
    )
    assert offers == plain_offers
    twins.clock.advance(timedelta(days=1))
    assert twins.archived.expire() == twins.plain.expire()
    for service in (twins.plain, twins.archived):
        service.catch_up()
    for name in ("eligibility", "history", "timeline", "report", "proofs", "position", "visitor"):
        assert READS[name](twins.archived) == READS[name](twins.plain), name
    # and whatever is made anew of the log is the same
    twins.archived.rebuild()
    rows(twins.dsns[1], "TRUNCATE tree_tiles; UPDATE tree_progress SET position = 0, size = 0")
    for service in (twins.plain, twins.archived):
        assert service.evidence is not None
        service.evidence.catch_up()
    for name in ("report", "audit"):
        assert READS[name](twins.archived) == READS[name](twins.plain), name


def test_an_erasure_blanks_what_is_archived(fresh_twins: Twins) -> None:
    """The receipt is the same, no file keeps a sealed part, and every proof still holds."""
    twins = fresh_twins
    visitor = VISITORS[4]
    before = {path.name for path in twins.folder.rglob("*.parquet")}
    # when
    plain, archived = (service.erase(customer_id=visitor) for service in (twins.plain, twins.archived))
    # then
    assert archived == plain
    after = {path.name for path in twins.folder.rglob("*.parquet")}
    assert len(after) == len(before)
    assert len(before - after) == 1
    assert after == {Path(name).name for (name,) in rows(twins.dsns[1], "SELECT name FROM archived_files")}
    assert rows(twins.dsns[1], "SELECT * FROM archive_leftovers") == []
    for service in (twins.plain, twins.archived):
        service.catch_up()
        assert service.evidence is not None
        service.evidence.catch_up()
    for name in ("raw log", "visitor data", "history", "feed", "kinds", "proofs", "audit", "suppressions"):
        assert READS[name](twins.archived) == READS[name](twins.plain), name
    with pytest.raises(NoSuchVisitorError):
        twins.archived.erase(customer_id=visitor)
