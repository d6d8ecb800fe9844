"""Stop signals, from the first instruction of the process to the last.

The first signal stops the job and keeps everything; the second does not wait for answers any more;
the third ends the process as the system would.
"""

import atexit
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(SystemExit):
    """A stop signal while there is no job to stop. `signum` is its number.

    As a `SystemExit` it passes through event loops and libraries, and ends a process that is still
    importing with the right code and without a traceback.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class SignalWatch:
    """Where a stop signal goes: to the running job, or up the stack as `Interrupted`."""

    def __init__(self) -> None:
        self._stop: Callable[[int], None] | None = None
        self._seen: list[int] = []

    def install(self) -> None:
        atexit.register(_ignore)
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wishes to be left alone
                signal.signal(number, self._received)

    def deliver_to(self, stop: Callable[[int], None] | None) -> None:
        """From now on a signal calls `stop(number)`; `None` ends that.

        One that came before and is still of no effect is delivered now: an `Interrupted` that is
        raised inside a destructor, say of a library that is being imported, gets lost.
        """
        self._stop = stop
        if stop is not None and self._seen:
            stop(self._seen[0])

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self._seen.append(number)
        if len(self._seen) >= 3:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if self._stop is None:
            # What is left half made, such as an event loop, would complain when it is torn down.
            sys.unraisablehook = lambda _: None
            warnings.simplefilter("ignore", RuntimeWarning)
            raise Interrupted(number)
        self._stop(number)


def _ignore() -> None:
    """The outcome is told, and all that is left is to end: a signal changes the code no more."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


watch = SignalWatch()
