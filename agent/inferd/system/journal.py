"""Log lines as the journal wants them: with a priority it can filter by, and without what it adds itself."""

from __future__ import annotations

import logging

# syslog(3); `journalctl -p warning` shows this one and those below it.
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Puts the priority before every line (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one or more lines."""
        priority = PRIORITIES.get(record.levelno, PRIORITIES[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def formatter(journal_stream: str) -> logging.Formatter:
    """Return how lines are written: for the journal where it listens ($JOURNAL_STREAM is set), else for a person."""
    return JournalFormatter("%(message)s") if journal_stream else logging.Formatter("%(levelname)s %(message)s")
