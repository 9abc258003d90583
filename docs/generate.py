"""Writes what docs/ has from the code: the lifecycle, the events catalogue, the picture of the rooms.

`make docs` runs it; a test holds the committed pages to what it would write today.
"""

import sys
from pathlib import Path

import field_roads
import rooms
from msgspec.structs import fields

from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import EVENTS, LifecycleEvent
from offerlog_domain.lifecycle import WEBCHAT, Lifecycle, State
from offerlog_domain.metrics import METRICS, MetricSet

HERE = Path(__file__).parent
NOTICE = "<!-- Made from the code by docs/generate.py (`make docs`); do not edit. -->\n"


def lifecycle_page(lifecycle: Lifecycle) -> str:
    """The lifecycle of one action: diagram, table, and what each state means for the offer."""
    lines = [
        NOTICE,
        "# The life of a web chat offer",
        "",
        "One *action* is one invitation made to one visitor. These steps are legal, and nothing else is;",
        "the end of the conversation is not tracked. The code reads the same table",
        "(`domain/offerlog_domain/lifecycle.py`).",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {step.source or '[*]'} --> {step.target}" for step in lifecycle.transitions),
        *(f"    {state} --> [*]" for state in lifecycle.states if lifecycle.is_final(state)),
        "```",
        "",
        "| from | to | when | stage |",
        "|---|---|---|---|",
        *(
            f"| {step.source or '-'} | {step.target} | {step.when} | {step.stage or ''} |"
            for step in lifecycle.transitions
        ),
        "",
        "*Final*: nothing follows in this action. *Terminal*: this offer is never made to this visitor",
        "again. A final state that is not terminal lets the map offer again, as a new action. An action that",
        "is not final is *open*, and blocks another one until it has been silent for 30 minutes (a setting).",
        "",
        "| state | final | terminal | metric | in the report view |",
        "|---|---|---|---|---|",
        *(
            f"| {state} | {_yes(lifecycle.is_final(state))} | {_yes(state in lifecycle.terminal)} "
            f"| `{METRICS[state]}` | {_yes(state in MetricSet.REPORT.states)} |"
            for state in lifecycle.states
        ),
        "",
    ]
    return "\n".join(lines)


def events_page() -> str:
    """Every event that a stream may hold, with its stored name, version and fields."""
    lines = [
        NOTICE,
        "# Events catalogue",
        "",
        "The log holds one stream for each visitor-offer (one visitor x one action map). A stream holds",
        "*lifecycle events*, which people see and reports count, and *bookkeeping events*, which make",
        "sure that any signal may be repeated at will. Each is stored under a name and a version that",
        "never change; how the bytes lie is in",
        "`infrastructure/offerlog_infrastructure/postgres/log/event_encoding.py`.",
        "",
        "| stored as | meaning | kind |",
        "|---|---|---|",
    ]
    for event in EVENTS:
        kind = "lifecycle event" if issubclass(event, LifecycleEvent) else "bookkeeping event"
        lines.append(f"| `{event.stored_name}.{event.stored_version}` | {_first_line(event)} | {kind} |")
    lines += ["", "## Where an event stands", "", *_fields(RecordedEvent, {"event", "private"})]
    lines += [
        "",
        "## Private fields",
        "",
        "What identifies a person or a visit is stored apart from the public fields, in one part that is",
        "sealed under the visitor's key. The visitor's id is not in any event:",
        "",
        *_fields(PrivateFields, set()),
    ]
    lines += ["", "## Public fields", "", "Every event:", "", *_fields(Event, set())]
    shown = {field.name for field in fields(Event)}
    report = next(base for base in LifecycleEvent.__mro__ if base.__name__ == "SignalEvent")
    lines += ["", "Every event made from a signal also:", "", *_fields(report, shown)]
    shown |= {field.name for field in fields(report)}
    lines += ["", "Every lifecycle event also:", "", *_fields(LifecycleEvent, shown)]
    of_lifecycle = shown | {field.name for field in fields(LifecycleEvent)}
    for event in EVENTS:
        own = _fields(event, of_lifecycle if issubclass(event, LifecycleEvent) else shown)
        if own:
            lines += ["", f"`{event.stored_name}` also:", "", *own]
    lines += [
        "",
        "## The roads of each field",
        "",
        "The places that a field reaches beside the log. Projections read public fields. They copy the",
        "sealed part as it is, and an answer that shows a field of it opens it. Answers: a history;",
        "look-ups and lists of suppressions; the list of parked signals; a performance report; the names of",
        "action maps. Decisions read whole events, also the fields without a road.",
        "",
        *field_roads.road_lines(),
    ]
    return "\n".join([*lines, ""])


def _fields(
    model: type[Event] | type[PrivateFields] | type[RecordedEvent[Event]], without: set[str]
) -> list[str]:
    meanings = _attributes(model.__doc__ or "")
    return [
        f"- `{field.name}` ({_type(field.type)}): {meanings.get(field.name, '')}".rstrip(": ")
        for field in fields(model)
        if field.name not in without
    ]


def _attributes(doc: str) -> dict[str, str]:
    _, _, listed = doc.partition("Attributes:\n")
    meanings: dict[str, str] = {}
    for line in listed.splitlines():
        name, colon, meaning = line.strip().partition(": ")
        if colon:
            meanings[name] = meaning.rstrip(".")
    return meanings


def _type(annotation: object) -> str:
    named = getattr(annotation, "__name__", None)
    return named if named and "|" not in str(annotation) else str(annotation).replace("None", "nothing")


def _first_line(event: type[Event]) -> str:
    return (event.__doc__ or "").strip().splitlines()[0]


def _yes(value: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "yes" if value else "no"


def architecture_page() -> str:
    """The page on the architecture, as it stands, with its picture and its table of rooms made anew."""
    page = (HERE / "architecture.md").read_text(encoding="utf-8")
    for name, lines in (("picture", ["```mermaid", *rooms.picture(), "```"]), ("rooms", rooms.table())):
        begin, end = f"<!-- {name}: made by docs/generate.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{chr(10).join(lines)}\n{end}{rest.partition(end)[2]}"
    return page


PAGES = {
    "lifecycle.md": lambda: lifecycle_page(WEBCHAT),
    "events.md": events_page,
    "architecture.md": architecture_page,
}
"""Every generated page and what makes it."""


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")


assert set(METRICS) == set(State)  # noqa: S101 - a state without a metric would be missing from the page

if __name__ == "__main__":
    main()
