"""Structured logs: one line per decision on stderr, JSON when nobody looks at a terminal."""

from __future__ import annotations

import logging
import sys

import structlog

from .replica import Happening, Kind

_LEVELS = {
    Kind.SERVICE_FAILING_OVER: "warning",
    Kind.SERVICE_UNHEALTHY: "warning",
    Kind.STEP_ABORTED: "warning",
    Kind.FROZEN: "warning",
    Kind.CAPACITY_SHORT: "warning",
    Kind.REPORTER_REFUSED: "warning",
    Kind.SOURCE_STALE: "warning",
    Kind.PROBLEM_FOUND: "warning",
    Kind.CLIENT_NACKED: "warning",
    Kind.CONFIGURATION_REFUSED: "error",
    Kind.CLIENT_OPENED: "debug",
    Kind.CLIENT_CLOSED: "debug",
}


def start_logging() -> structlog.typing.FilteringBoundLogger:
    """Configure structlog, and send what libraries log the same way; returns the program's logger."""
    human = sys.stderr.isatty()
    render: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward(log)], force=True)
    return log


def tell(log: structlog.typing.FilteringBoundLogger, happening: Happening) -> None:
    """One line for one happening."""
    write = getattr(log, _LEVELS.get(happening.kind, "info"))
    write(happening.kind.value, object=happening.object, message=happening.message)


class _Forward(logging.Handler):
    """What libraries log, as lines of ours."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
