"""The process of one batch: it outlives the server, and lives in its checkpoint.

The order is a JSON object on standard input: `source`, `options` and `stop_file`. Standard output
is the batch's log, one JSON object a line. No key is in either.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from enricher import library
from enricher.errors import EnricherError
from enricher.library.events import Event
from enricher.notice import EventName

_SILENT = (EventName.PROGRESS, EventName.RUN_FAILED)


class Cancelled(Exception):
    """Somebody asked the job to stop; it has saved."""


class Listener:
    """Writes the log, and looks every second whether the job is to stop.

    A request from before this process began was meant for another one.
    """

    def __init__(self, stop_file: Path) -> None:
        self._stop_file = stop_file
        self._began = time.time()

    def hear(self, event: Event) -> None:
        if event.name not in _SILENT:
            write(event.name, event.text)
        if event.name == EventName.PROGRESS and self._is_to_stop():
            raise Cancelled

    def _is_to_stop(self) -> bool:
        try:
            asked_at = self._stop_file.stat().st_mtime
        except OSError:
            return False
        self._stop_file.unlink(missing_ok=True)
        return asked_at >= self._began


def write(event: str, text: str, **more: Any) -> None:
    """Add a line to the log."""
    line = {"pid": os.getpid(), "event": str(event), "text": text, **more}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do the batch; the code is that of the command line."""
    order = json.load(sys.stdin)
    listener = Listener(Path(order["stop_file"]))
    try:
        summary = library.run(
            order["source"], on_event=listener.hear, stop_signals=True, **order["options"]
        )
    except EnricherError as error:
        write(EventName.ERROR, error.message, code=error.code, mend=error.mend)
        return error.exit_code
    except Cancelled:
        write(EventName.ENDED, "cancelled, and saved")
        return 130
    return summary.exit_code or 0


if __name__ == "__main__":
    sys.exit(main())
