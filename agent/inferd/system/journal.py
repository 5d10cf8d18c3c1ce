"""Log formatters: for the systemd journal (with the priority, without what the journal adds), or JSON."""

from __future__ import annotations

import json
import logging
from typing import Literal

from inferd.foreign_text import printable

# syslog(3); `journalctl -p warning` shows this one and those below it.
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Puts the priority before every line (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one or more lines."""
        priority = PRIORITIES.get(record.levelno, PRIORITIES[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON, for collectors: time (seconds since the epoch), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        fields = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            fields["exception"] = printable(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


def formatter(journal_stream: str, wanted: Literal["auto", "json"] = "auto") -> logging.Formatter:
    """Return the formatter: JSON if wanted, else for the journal if it is connected ($JOURNAL_STREAM), else for a terminal."""
    if wanted == "json":
        return JsonFormatter()
    return JournalFormatter("%(message)s") if journal_stream else logging.Formatter("%(levelname)s %(message)s")
