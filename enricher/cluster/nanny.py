"""The worker processes of `--cluster local:N`: a stop is for the client alone.

Ctrl-C at a terminal reaches every process of its group, and so does the stop of a service. The
client hears it and lets the shards stop; the workers end when it closes them, or dies.
"""

import signal
from multiprocessing import resource_tracker
from typing import Any

from distributed import Nanny

STOPPING = {
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
}


_HAS_MASKS = hasattr(signal, "pthread_sigmask")


class DeafNanny(Nanny):
    """Starts its worker, the first one and any later one, with stop signals blocked.

    A new thread and a new process have the mask of who makes them, so they are blocked here for
    as long as a worker starts. A signal that comes meanwhile is delivered after that.
    """

    _starting = 0

    async def instantiate(self) -> Any:
        """See `Nanny`."""
        if _HAS_MASKS:
            resource_tracker.ensure_running()  # at its start it unblocks them
        DeafNanny._starting += 1
        _mask(block=True)
        try:
            return await super().instantiate()
        finally:
            DeafNanny._starting -= 1
            if not DeafNanny._starting:
                _mask(block=False)


def _mask(*, block: bool) -> None:
    if _HAS_MASKS:
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, STOPPING)
