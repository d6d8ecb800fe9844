"""Lines for people that programs can tell apart."""

import enum


class EventName(enum.StrEnum):
    """`event` of a line of `--log-format json`; a name never changes its meaning."""

    NOTE = "note"
    """Anything that a person should know; only the text tells what."""
    STARTED = "started"
    PROGRESS = "progress"
    RATE_LIMITED = "rate_limited"
    """The server refused a request for the rate (429)."""
    RATE_CHANGED = "rate_changed"
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
    """One line for a person, and the `event` that it tells of.

    `rare` is false for what happens again and again: it is told with `-v` only.
    """

    event: EventName
    rare: bool

    def __new__(cls, event: EventName, text: str, *, rare: bool = True) -> "Notice":
        notice = super().__new__(cls, text)
        notice.event = event
        notice.rare = rare
        return notice


def event_of(line: str) -> EventName:
    """What a line for a person tells of."""
    return line.event if isinstance(line, Notice) else EventName.NOTE


def is_rare(line: str) -> bool:
    """Whether it is told without `-v` too."""
    return line.rare if isinstance(line, Notice) else True
