"""Writes what docs/ has from the code: the lifecycle, the events, the rooms, settings and checks.

It writes the npm package of the browser module and the types of the HTTP clients, too (clients).

`make docs` runs it; a test holds the committed pages to what it would write today.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import client_modules
import client_types
import field_roads
import rooms
from msgspec.structs import fields

from offerlog_application.status.checks import CHECKS
from offerlog_domain.event_fields import Event, PrivateFields, RecordedEvent
from offerlog_domain.events import EVENTS, LifecycleEvent
from offerlog_domain.lifecycle import LIFECYCLES, Lifecycle, State
from offerlog_domain.metrics import METRICS, MetricSet
from offerlog_domain.service_events import SERVICE_EVENTS
from offerlog_infrastructure.cli.settings_list import NOT_SET
from offerlog_infrastructure.http.asyncapi.document import build_document
from offerlog_infrastructure.http.responses.browser_module import read_module
from offerlog_infrastructure.settings import Settings, StoreSettings
from offerlog_infrastructure.settings_file import VARIABLE

HERE = Path(__file__).parent
NOTICE = "<!-- Made from the code by docs/generate.py (`make docs`); do not edit. -->\n"


def lifecycle_page() -> str:
    """The lifecycle of one action, by media type: diagram, table, and what each state means for the offer."""
    lines = [
        NOTICE,
        "# The life of an offer",
        "",
        "One *action* is one invitation made to one visitor. It follows the table of its media type, which",
        "its offer names (`actionMediaType`). The steps of the table are legal, and nothing else is; the end",
        "of a conversation is not tracked. The code reads the same tables",
        "(`domain/offerlog_domain/lifecycle.py`).",
        "",
        "An action stays of the media type that it was offered as, also where its action map gets another",
        "one: a signal of another media type is refused as `not_legal`.",
        "",
        "*Final*: nothing follows in this action. *Terminal*: this offer is not made to this visitor again,",
        "unless a policy of the map says after which time ([cool-down](glossary.md#states)). A final state",
        "that is not terminal lets the map offer again, as a new action. An action that is not final is",
        "*open*, and blocks another one until it has been silent for 30 minutes (a setting).",
    ]
    for group in _tables():
        lines += ["", *_lifecycle_lines(group)]
    return "\n".join([*lines, ""])


def _tables() -> Sequence[Sequence[Lifecycle]]:
    """The lifecycles, those with the same steps and the same terminal states together."""
    groups: dict[object, list[Lifecycle]] = {}
    for lifecycle in LIFECYCLES.values():
        groups.setdefault((lifecycle.transitions, lifecycle.terminal), []).append(lifecycle)
    return list(groups.values())


def _lifecycle_lines(group: Sequence[Lifecycle]) -> list[str]:
    lifecycle = group[0]
    media_types = " and ".join(f"`{one.media_type}`" for one in group)
    return [
        f"## {' and '.join(f'{one.title}s' for one in group).capitalize()}",
        "",
        f"Media type: {media_types}.",
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
        "| state | final | terminal | metric | in the report view |",
        "|---|---|---|---|---|",
        *(
            f"| {state} | {_yes(lifecycle.is_final(state))} | {_yes(state in lifecycle.terminal)} "
            f"| `{METRICS[state]}` | {_yes(state in MetricSet.REPORT.states)} |"
            for state in lifecycle.states
        ),
    ]


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
        "## Events that belong to no visitor-offer",
        "",
        "What the service itself did stands in the same log, in separate streams: what became of a visitor",
        "in the visitor's own stream, policies in the stream of the action map, tallies of blocked offers in",
        "a stream of the process that wrote them, everything else in the organization's. The ids of these",
        "streams are made with the nil UUID in place of an action map, or with the map, or with a random id",
        "of the process. The token of an organization has the second 0",
        "([decision 36](decisions/0036-erasing-a-visitor.md)). All fields are public; the sealed part is",
        "empty. Projections pass over these events, except for those with tables below: an erasure removes",
        "the visitor's rows from them, and a tally adds its number",
        "([decision 56](decisions/0056-blocked-offers-are-tallies.md)).",
        "",
        "| stored as | meaning | tables of projections |",
        "|---|---|---|",
    ]
    for event in SERVICE_EVENTS:
        tables = ", ".join(f"`{table}`" for table in field_roads.SERVICE_ROADS[event])
        lines.append(f"| `{event.stored_name}.{event.stored_version}` | {_first_line(event)} | {tables} |")
    for event in SERVICE_EVENTS:
        own = _fields(event, {field.name for field in fields(Event)})
        if own:
            lines += ["", f"`{event.stored_name}` has:", "", *own]
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
    """The meaning of each attribute in a docstring; a meaning may go on in deeper lines."""
    _, _, listed = doc.partition("Attributes:\n")
    meanings: dict[str, str] = {}
    margin = len(listed) - len(listed.lstrip())
    for line in listed.splitlines():
        name, colon, meaning = line.strip().partition(": ")
        if colon and len(line) - len(line.lstrip()) == margin:
            meanings[name] = meaning
        elif line.strip() and meanings:
            meanings[[*meanings][-1]] += f" {line.strip()}"
    return {name: meaning.rstrip(".") for name, meaning in meanings.items()}


def _type(annotation: object) -> str:
    named = getattr(annotation, "__name__", None)
    return named if named and "|" not in str(annotation) else str(annotation).replace("None", "nothing")


def _first_line(event: type[Event]) -> str:
    return (event.__doc__ or "").strip().splitlines()[0]


def _yes(value: bool) -> str:  # noqa: FBT001 - a cell of a table
    return "yes" if value else "no"


def architecture_page() -> str:
    """The page on the architecture, as it stands, with its picture and its table of rooms made anew."""
    regions = {"picture": ["```mermaid", *rooms.picture(), "```"], "rooms": rooms.table()}
    return _with_regions("architecture.md", regions)


def command_line_page() -> str:
    """The page on the command line, as it stands, with its table of settings made anew."""
    return _with_regions("command-line.md", {"settings": settings_table()})


def operations_page() -> str:
    """The page on operations, as it stands, with its table of what to alert on made anew."""
    rows = [f"| `{one.name}` | {one.what} | {one.where} |" for one in CHECKS]
    table = ["| check | alert on | where it shows |", "|---|---|---|", *rows]
    return _with_regions("operations.md", {"checks": table})


def settings_table() -> list[str]:
    """The lines of a table: each setting with its variable, its meaning and its default."""
    meanings = {
        name: meaning
        for kind in (StoreSettings, Settings)
        for name, meaning in _attributes(kind.__doc__ or "").items()
    }
    lines = ["| variable | meaning | default |", "|---|---|---|", *_OTHER_VARIABLES[:1]]
    for name in Settings.model_fields:
        if name == "postgres_enable_db_functions":  # it must not be used
            continue
        variables = "` or `".join(Settings.variables_of(name))
        lines.append(f"| `{variables}` | {meanings[name]} | {_default(name)} |")
    return [*lines, *_OTHER_VARIABLES[1:]]


_OTHER_VARIABLES = (
    (
        f"| `{VARIABLE}` | the [settings file](#the-settings-file); as `--config` | `offerlog/config.toml` in"
        " `$XDG_CONFIG_HOME`, else in `/etc` for root, else in the platform's place for a user's settings |"
    ),
    "| `OFFERLOG_DEBUG` | any value: an unexpected error shows its traceback | not set |",
    "| `PG_BINDIR` | the `bin` folder of the PostgreSQL that the embedded store runs | the package's |",
)
"""Variables that are read elsewhere, as rows of the table of settings."""


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if value is None:
        return NOT_SET.get(name, "none")
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return f"`{value:.0f}`" if isinstance(value, float) else f"`{value}`"


def _with_regions(name: str, regions: Mapping[str, Sequence[str]]) -> str:
    """A page as it stands, with the lines between its markers made anew."""
    page = (HERE / name).read_text(encoding="utf-8")
    for region, lines in regions.items():
        begin, end = f"<!-- {region}: made by docs/generate.py -->\n", f"<!-- end of {region} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{chr(10).join(lines)}\n{end}{rest.partition(end)[2]}"
    return page


def browser_page() -> str:
    """The page about the browser module, with the address and the digest of this version."""
    module = read_module()
    page = (HERE / "browser.md").read_text(encoding="utf-8")
    before, start, rest = page.partition("<!-- version: made by docs/generate.py -->\n")
    _, end, after = rest.partition("<!-- end of version -->\n")
    address = f"https://offers.example.com/static/{module.file_name}"
    table = f"""```html
<script type="importmap">
  {{
    "imports": {{ "offerlog": "{address}" }},
    "integrity": {{ "{address}": "{module.integrity}" }}
  }}
</script>
```
"""
    return before + start + table + end + after


def module_file() -> str:
    """The browser module as the service sends it."""
    return read_module().content.decode()


def npm_package(name: str) -> str:
    """The description of an npm package, with the version of the project."""
    file = HERE.parent / "clients" / name / "package.json"
    package = json.loads(file.read_text(encoding="utf-8")) | {"version": version("offerlog")}
    return json.dumps(package, indent=2) + "\n"


def asyncapi_document() -> str:
    """The contract of the events, as the service shows it."""
    return json.dumps(build_document(), indent=1) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "asyncapi.json": asyncapi_document,
    "browser.md": browser_page,
    "../clients/browser/offerlog.js": module_file,
    "../clients/browser/package.json": lambda: npm_package("browser"),
    "../clients/typescript/package.json": lambda: npm_package("typescript"),
    "../clients/python/offerlog_client/answers.py": client_types.python_types,
    "../clients/python/offerlog_client/organization.py": partial(
        client_modules.threaded, "async_organization.py"
    ),
    "../clients/python/offerlog_client/reports.py": partial(client_modules.threaded, "async_reports.py"),
    "../clients/python/offerlog_client/client.py": partial(client_modules.threaded, "async_client.py"),
    "../clients/typescript/src/answers.ts": client_types.typescript_types,
    "lifecycle.md": lifecycle_page,
    "events.md": events_page,
    "architecture.md": architecture_page,
    "command-line.md": command_line_page,
    "operations.md": operations_page,
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
