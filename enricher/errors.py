"""The error tree. A class says what happens next; the message says what was found.

EnricherError                 a message for a person, and its mend
├── UsageError                exit 2: the command line alone shows that it is wrong
├── CannotGoOn                exit 1: nothing was lost, a person mends it and repeats
│   ├── InputError            the input cannot be read as a table
│   │   └── InputChanged      somebody wrote to it while it was read
│   ├── JobFileError          the job file is no TOML, or says what no job can be
│   ├── ManifestError         there is no manifest, or it cannot be written
│   ├── MappingError          the grid's labels and the input's columns do not fit
│   ├── SelectionError        which rows are meant cannot be told
│   ├── OutputError           the output may not or cannot be written
│   ├── KeyProblem            the API key is missing, malformed or not private
│   ├── CheckpointError       the checkpoint is not ours, or cannot be read or written
│   └── ProviderRefused       the provider said no to something that every run needs
└── TryLater                  exit 4: the same command later is enough
    ├── CheckpointInUse       another process writes this checkpoint
    ├── ServerGone            the provider did not answer for too long
    ├── StateGone             the object store that keeps a cluster's state does not answer
    └── Superseded            another attempt has taken this shard over

IllegalTransition             a bug: an item was about to make a move its state forbids

Each has a `message`, a `mend`, and a stable `code` for programs. None of them costs credits: what
was paid is in the checkpoint.

Raises:
    EnricherError: by whatever `import enricher` gives.

Example:
    >>> try:
    ...     enricher.run("nowhere.csv", grid=GRID)
    ... except enricher.errors.InputError as error:
    ...     print(error.code)
    input_error
"""

from collections.abc import Mapping
from typing import ClassVar


class EnricherError(Exception):
    """A problem that a person can act on.

    Args:
        message: what was found, in one line.
        mend: what to do about it, in one line; may be empty.
        code: a stable word for programs (`error.code` of the JSON summary).

    Attributes:
        known: fields of the summary, as far as a job had come when it broke off.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, mend: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code or _code_of(type(self))
        self.known: Mapping[str, object] = {}

    def __str__(self) -> str:
        return f"{self.message}\n{self.mend}" if self.mend else self.message


class UsageError(EnricherError):
    """The command line alone shows the mistake."""

    exit_code = 2


class CannotGoOn(EnricherError):
    """Could not start or go on; nothing is lost."""


class InputError(CannotGoOn):
    """The input cannot be read as a table; names the file and, where it can, the line."""


class InputChanged(InputError):
    """Somebody wrote to the input while it was read; a job that has begun stops by it."""


class JobFileError(CannotGoOn):
    """The job file cannot be read, or has mistakes; names the file and the lines."""


class ManifestError(CannotGoOn):
    """The manifest of a job in shards cannot be read or written; names it."""


class MappingError(CannotGoOn):
    """Labels and columns do not fit together; lists both."""


class SelectionError(CannotGoOn):
    """What chooses rows or columns does not fit the input; shows it, and what there is."""


class OutputError(CannotGoOn):
    """The output may not be replaced or cannot be written."""


class KeyProblem(CannotGoOn):
    """The API key is missing, malformed, or kept where others can read it."""


class CheckpointError(CannotGoOn):
    """The checkpoint is not one of ours, or its disk does not take or give what it should."""


class ProviderRefused(CannotGoOn):
    """The provider refuses something that every run needs (key, plan, grid, source …)."""


class TryLater(EnricherError):
    """Time mends it: the same command later is enough."""

    exit_code = 4


class CheckpointInUse(TryLater):
    """Another process holds the checkpoint."""


class ServerGone(TryLater):
    """The provider did not answer for longer than the patience."""


class StateGone(TryLater):
    """The object store that keeps the state of a cluster's job does not answer, or refuses."""


class Superseded(TryLater):
    """Another attempt at the same shard has taken over; this one must not submit any more."""


class IllegalTransition(AssertionError):
    """A bug in enricher: a state was about to change in a way the table in `model` forbids."""


def _code_of(kind: type[EnricherError]) -> str:
    name = kind.__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
