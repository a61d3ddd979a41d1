"""Structured logs: one JSON object a line, or a line for people on a terminal.

`cli` calls `set_up` once. A record's `extra` fields become keys of their own; `session` is set once for a task and
found in everything that it logs.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

session: ContextVar[str] = ContextVar("session", default="")

# What a LogRecord has anyway: everything else came with `extra`.
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(log_format: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send everything of level `level` and above to `stream`."""
    human = log_format == "human" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Human() if human else _Json())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Request lines of the libraries say nothing about sessions, and at debug they repeat whole headers.
    for noisy in ("aiohttp", "httpx", "httpcore", "cloudflare", "asyncio", "transitions"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What it warns of ("config not found") is said by our own error, with the remedy.
    logging.getLogger("kubernetes").setLevel(logging.ERROR)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    current = session.get()
    return ({"session": current} if current else {}) | extra


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = "  ".join(f"{key}={value}" for key, value in _fields(record).items())
        line = f"{time} {record.levelname[:4]:4} {record.getMessage()}" + (f"  {fields}" if fields else "")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
