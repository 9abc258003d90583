"""The log of a service: every line one JSON object on standard error, without rows of the store."""

import logging
import re
import threading
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_OURS: Final = ("offerlog_application", "offerlog_infrastructure")

_ROWS: Final = re.compile(r"\n(?:DETAIL|CONTEXT):.*?(?=\n\n|\Z)", re.DOTALL)
"""Lines of PostgreSQL behind the first line of an error. They quote rows, and so customer ids."""

_log = logging.getLogger(__name__)


def log_as_json(level: str, *more: Processor) -> None:
    """Send the log of the whole process to standard error, one JSON object on each line.

    Args:
        level: Least level of offerlog's own lines; lines of libraries begin at `info`.
        more: Further processors of a line.
    """
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
            structlog.processors.JSONRenderer(),
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
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread_error


def _without_rows(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for part in ("event", "exception"):
        if isinstance(line.get(part), str):
            line[part] = _ROWS.sub("", line[part])
    return line


def _log_thread_error(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "a thread"
    _log.critical("%s ended with an error", name, exc_info=ended.exc_value)
