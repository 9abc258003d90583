"""The log of a service on standard error: for people on a terminal, JSON elsewhere; no rows of the store."""

import logging
import os
import re
import sys
import threading
from typing import Final, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from offerlog_infrastructure.presentation.escaping import spell_out

LogFormat = Literal["auto", "json", "pretty"]
"""The form of the log; `auto` is `pretty` on a terminal and `json` elsewhere."""

_OURS: Final = ("offerlog_application", "offerlog_infrastructure")

_ROWS: Final = re.compile(r"\n(?:DETAIL|CONTEXT):.*?(?=\n\n|\Z)", re.DOTALL)
"""Lines of PostgreSQL behind the first line of an error. They quote rows, and so customer ids."""

_log = logging.getLogger(__name__)


def log_to_stderr(level: str, form: LogFormat = "json", *more: Processor) -> None:
    """Send the log of the whole process to standard error.

    Args:
        level: Least level of offerlog's own lines; lines of libraries begin at `info`.
        form: `json` for one JSON object on each line, `pretty` for people. Colours only on a terminal, and
            not if `NO_COLOR` is set (no-color.org).
        more: Further processors of a line.
    """
    is_pretty = form == "pretty" or (form == "auto" and sys.stderr.isatty())
    rendering: list[Processor] = [structlog.processors.JSONRenderer()]
    if is_pretty:
        rendering = [
            _printable,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ExtraAdder(),
            *more,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _without_rows,
            *rendering,
        ],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    shown = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(shown, logging.INFO))
    for name in _OURS:
        logging.getLogger(name).setLevel(shown)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each webhook, with its address
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_error


def name_worker(number: int) -> Processor:
    """Return a processor that puts the number of this process into its lines."""

    def add(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line["worker"] = number
        return line

    return add


def _without_rows(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for part in ("event", "exception"):
        if isinstance(line.get(part), str):
            line[part] = _ROWS.sub("", line[part])
    return line


def _printable(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Spell out control characters, which a terminal would obey; JSON escapes them itself."""
    return {
        key: "\n".join(map(spell_out, value.split("\n"))) if isinstance(value, str) else value
        for key, value in line.items()
    }


def _log_thread_error(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "a thread"
    _log.critical("%s ended with an error", name, exc_info=ended.exc_value)
