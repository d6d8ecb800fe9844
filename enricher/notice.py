"""Lines for people that programs can tell apart."""

import enum


class EventName(enum.StrEnum):
    """What an event tells of; a name never changes its meaning, and more may come.

    `progress` comes every second with a summary, `ended` last; both with times in seconds.
    They are also `event` of a line of `--log-format json`.

    Raises:
        ValueError: there is no event of that name.

    Example:
        >>> enricher.EventName("ended") is enricher.EventName.ENDED
        True
    """

    NOTE = "note"
    """Anything that a person should know; only the text tells what."""
    STARTED = "started"
    """The input is read and counted; `-v` only, as are the two next ones."""
    RUN_FAILED = "run_failed"
    RUN_IN_DOUBT = "run_in_doubt"
    PROGRESS = "progress"
    RATE_LIMITED = "rate_limited"
    """The server refused a request for the rate (429)."""
    RATE_CHANGED = "rate_changed"
    RATE_SHARED = "rate_shared"
    """Another process sends with the same key, and both keep one limit."""
    BREAKER_OPENED = "breaker_opened"
    """The server has trouble: only probes are sent."""
    BREAKER_CLOSED = "breaker_closed"
    """It answers again."""
    SERVER_UNREACHABLE = "server_unreachable"
    """It does not answer before the first submission."""
    KEY_RELOADED = "key_reloaded"
    MODE_CHANGED = "mode_changed"
    STOPPING = "stopping"
    ENDED = "ended"
    """The last line of a job, with its outcome and exit code."""
    ERROR = "error"


class Notice(str):
    """One line for a person, and the `event` that it tells of."""

    event: EventName

    def __new__(cls, event: EventName, text: str) -> "Notice":
        notice = super().__new__(cls, text)
        notice.event = event
        return notice


def event_of(line: str) -> EventName:
    """What a line for a person tells of."""
    return line.event if isinstance(line, Notice) else EventName.NOTE
