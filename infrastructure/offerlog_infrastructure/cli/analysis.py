"""The commands funnel, blocked, times and visitor-offers: where offers end, and who is behind a number."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Protocol, TypeVar

import typer
from rich.text import Text

from offerlog_application.wording import format_count
from offerlog_domain.errors import ArgumentError
from offerlog_domain.lifecycle import State
from offerlog_domain.metrics import Cohort, CountBy
from offerlog_infrastructure.cli.everywhere import OfferlogCommand
from offerlog_infrastructure.cli.moments import format_moment
from offerlog_infrastructure.cli.option_groups import StoreOptions, spread_groups
from offerlog_infrastructure.cli.options import ListForm
from offerlog_infrastructure.cli.output import Form, console, print_json, table, usage, usage_of
from offerlog_infrastructure.cli.report_options import CohortOfReport, MapRangeOptions, OfferRangeOptions
from offerlog_infrastructure.cli.report_output import Format, OutputOptions, remark_missing
from offerlog_infrastructure.export.report_sheets import (
    sheet_of_blocked_offers,
    sheet_of_funnel,
    sheet_of_offer_times,
)
from offerlog_infrastructure.presentation.analysis_documents import (
    NUMBERS,
    describe_blocked_offers,
    describe_funnel,
    describe_listed_offer,
    describe_offer_times,
)
from offerlog_infrastructure.presentation.escaping import spell_out

if TYPE_CHECKING:
    from offerlog_application.offerlog import Offerlog
    from offerlog_application.ports.offer_reads import StepTimes
    from offerlog_application.ports.performance_counts import ReportQuery
    from offerlog_application.reading.analysis import BlockedOffers, OfferTimes
    from offerlog_application.reading.funnel import Funnel
    from offerlog_infrastructure.export.report_files import Sheet


class AnsweredReport(Protocol):
    """A report that says how many events are missing from it."""

    @property
    def short_by(self) -> int:
        """The number of events that are missing."""


T = TypeVar("T", bound=AnsweredReport)

_STEPS = (State.ACCEPTED, State.STARTED, State.ENGAGED)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command, example in (
        ("funnel", funnel, "offerlog funnel --last 7d --zone Europe/Berlin"),
        ("blocked", blocked, "offerlog blocked --from -30d --format csv"),
        ("times", times, 'offerlog times --last 4w --action-map "Checkout help"'),
        (
            "visitor-offers",
            visitor_offers,
            "offerlog visitor-offers --action-map 2d1f... --metric engaged --last 1d",
        ),
    ):
        app.command(name, cls=OfferlogCommand, epilog=f"[dim]Example:[/] {example}")(command)


@dataclass(frozen=True, slots=True)
class AnalystReport(Generic[T]):
    """A report: how it is made, laid out, described and shown, and what is said on standard error of it."""

    make: "Callable[[Offerlog, ReportQuery], T]"
    lay_out: "Callable[[T], Sheet]"
    describe: Callable[[T], Mapping[str, Any]]
    show: Callable[[T], None]
    remark: Callable[[T], None] = lambda _: None


def run_report(
    report: AnalystReport[T], asked: MapRangeOptions, wanted: OutputOptions, store: StoreOptions
) -> None:
    """Make a report and print it or write it to a file.

    Raises:
        UsageError: The call is wrong, or asks for a report that is too large.
    """
    chosen, build_query = wanted.choose_format(), asked.read_query()
    from offerlog_application.reading.performance_report import ReportTooLargeError  # noqa: PLC0415 - --help need not wait for it

    with store.open() as service:
        service.catch_up()
        query = build_query(service)
        try:
            made = report.make(service, query)
        except ReportTooLargeError as error:
            raise usage(str(error)) from None
        except ArgumentError as error:
            raise usage_of(error) from None
    if chosen is Format.TABLE:
        report.show(made)
    else:
        wanted.put_out(chosen, report.lay_out(made), lambda: report.describe(made))
    if chosen is not Format.JSON:
        report.remark(made)
        remark_missing(made.short_by)


@spread_groups
def funnel(asked: OfferRangeOptions, wanted: OutputOptions, store: StoreOptions) -> None:
    """Show where the offers made in a range ended, for each map and in all.

    Every offer is at exactly one end, so the ends add up to the offers.
    open: not over yet. lapsed: not over, and silent for half an hour or
    as long as OFFERLOG_OPEN_ACTION_TTL says.
    """
    run_report(_FUNNEL, asked, wanted, store)


def _show_funnel(made: "Funnel") -> None:
    """Print the funnel for people: a block for each map, and the total last."""
    out = console()
    if not made.parts:
        out.print("No offer was made there.")
        return
    for part in (*made.parts, made.total):
        name = spell_out(part.action_map_name or "") if part.action_map_id else "All action maps"
        out.print(Text.assemble((name, "bold"), " " if name else "", (part.action_map_id or "", "dim")))
        rows = table(out, ["", "offers", "of offered"], numbers=2)
        offered = part.steps[State.OFFERED]
        for step, count in part.steps.items():
            share = part.rates[_OF_OFFERED[step]] if step in _OF_OFFERED else _divide(count, offered)
            rows.add_row(step.value, f"{count:,}", _percent(share))
        for end, count in part.ends.items():
            if count:
                rows.add_row(
                    f"  ended: {end.replace('_', ' ')}", f"{count:,}", _percent(_divide(count, offered))
                )
        out.print(rows)
        rates = ", ".join(
            f"{rate.replace('_', ' ')} {value:.1%}" for rate, value in part.rates.items() if value is not None
        )
        out.print(f"Rates: {rates}\n", soft_wrap=True)


_OF_OFFERED: Final = {
    State.ACCEPTED: "accepted",
    State.STARTED: "started_of_offered",
    State.ENGAGED: "engaged_of_offered",
}
"""The rate of each later step, divided by the offers."""


def _divide(count: int, whole: int) -> float | None:
    return count / whole if whole else None


def _percent(rate: float | None) -> str:
    return "\u2013" if rate is None else f"{rate:.1%}"


@spread_groups
def blocked(asked: OfferRangeOptions, wanted: OutputOptions, store: StoreOptions) -> None:
    """Show the blocked offers of a range, for each map and reason.

    Counted are offers that the offer rule has refused, and the vendor's events
    of blocked offers, each once. Visitors and sessions are those of remembered
    offers, whose action id was named; sessions for up to 10,000 of them. With
    `--media-type`, offers whose media type is not known are left out; a line
    on standard error says how many.
    """
    run_report(_BLOCKED, asked, wanted, store)


def _show_blocked(made: "BlockedOffers") -> None:
    out = console()
    if not made.total.blocked:
        out.print("No offer was blocked there.")
        return
    rows = table(out, ["action map", "reason", "blocked", "remembered", "visitors", "sessions"], numbers=4)
    for one in (*made.parts, made.total):
        name = spell_out(made.names.get(one.action_map_id) or "") if one.action_map_id else "all"
        heading = " ".join(filter(None, [name, one.action_map_id]))
        known = (one.visitors, one.sessions) if one.remembered else (None, None)
        counts = (one.blocked, one.remembered, *known)
        cells = ["\u2013" if number is None else f"{number:,}" for number in counts]
        rows.add_row(Text(heading), Text(spell_out(one.reason or "")), *cells)
    out.print(rows)


def _remark_unknown(made: "BlockedOffers") -> None:
    """Say on standard error how many blocked offers a media type leaves out because theirs is not known."""
    if made.query.media_type is not None and made.unknown_media_type:
        console(stderr=True).print(
            f"left out: {format_count(made.unknown_media_type, 'blocked offer')} of an unknown media type"
        )


@spread_groups
def times(asked: OfferRangeOptions, wanted: OutputOptions, store: StoreOptions) -> None:
    """Show how long each step took after the offer: median and p90, exactly.

    Of the offers made in a range. Visitors who were erased are left out.
    """
    run_report(_TIMES, asked, wanted, store)


def _show_times(made: "OfferTimes") -> None:
    out = console()
    if not made.parts:
        out.print("No offer that was made there was accepted.")
        return
    columns = [f"{step} {name}" for step in _STEPS for name in ("n", "median", "p90")]
    rows = table(out, ["action map", *columns], numbers=len(columns))
    for action_map, steps in (*made.parts.items(), (None, made.total)):
        name = spell_out(made.names.get(action_map) or "") if action_map else "all"
        heading = " ".join(filter(None, [name, action_map]))
        rows.add_row(Text(heading), *(cell for step in _STEPS for cell in _cells(steps[step])))
    out.print(rows)


def _cells(one: "StepTimes") -> Sequence[str]:
    seconds = ("\u2013" if value is None else f"{value:,.1f} s" for value in (one.median, one.p90))
    return [f"{one.actions:,}", *seconds]


@spread_groups
def visitor_offers(
    *,
    metric: Annotated[
        str, typer.Option(metavar="NUMBER", help="The number: offered, accepted, rejected_at_form, ...")
    ],
    asked: OfferRangeOptions,
    count_by: Annotated[
        CountBy, typer.Option(help="List actions, or each distinct visitor of an action map once.")
    ] = CountBy.ACTIONS,
    cohort: CohortOfReport = Cohort.EVENT,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Show so many at most.")] = None,
    form: ListForm = Form.TABLE,
    store: StoreOptions,
) -> None:
    """List the visitor-offers behind a number of the report or of the funnel.

    One line for each action, with the visitor; with `--count-by visitors`, the
    first action of each visitor that the number counts. `offerlog visitor` shows the
    time line of each. Offers of visitors who were erased are in the number,
    and not in the list.
    """
    if metric not in NUMBERS:
        raise usage(f"--metric {metric}: give one of {', '.join(NUMBERS)}")
    build_query = asked.read_query(count_by=count_by, cohort=cohort)
    from offerlog_application.ports.offer_reads import ListPlace  # noqa: PLC0415 - --help need not wait for it

    out, shown = console(), 0
    with store.open() as service:
        service.catch_up()
        query = build_query(service)
        place: ListPlace | None = ListPlace()
        while place is not None and (limit is None or shown < limit):
            wanted = _PAGE if limit is None else min(_PAGE, limit - shown)
            try:
                page = service.analysis.offers_behind(query, NUMBERS[metric], behind=place, limit=wanted)
            except ArgumentError as error:
                raise usage_of(error) from None
            for one in page.offers:
                shown += 1
                if form is Form.JSON:
                    print_json(describe_listed_offer(one))
                    continue
                times_ = f"{format_moment(one.reached_at)}  offered {format_moment(one.offered_at)}"
                who = f"{one.customer_id_type} {one.customer_id}"
                line = f"{times_}  action {one.action_number}, now {one.state}  {who}"
                out.print(Text(spell_out(line)), soft_wrap=True)
            place = page.behind
    if form is Form.TABLE:
        out.print(f"{shown:,} of {page.count:,}.")


_PAGE = 1_000

_FUNNEL: "Final[AnalystReport[Funnel]]" = AnalystReport(
    lambda service, query: service.analysis.funnel(query),
    sheet_of_funnel,
    describe_funnel,
    _show_funnel,
)
_BLOCKED: "Final[AnalystReport[BlockedOffers]]" = AnalystReport(
    lambda service, query: service.analysis.blocked_offers(query),
    sheet_of_blocked_offers,
    describe_blocked_offers,
    _show_blocked,
    _remark_unknown,
)
_TIMES: "Final[AnalystReport[OfferTimes]]" = AnalystReport(
    lambda service, query: service.analysis.times(query),
    sheet_of_offer_times,
    describe_offer_times,
    _show_times,
)
