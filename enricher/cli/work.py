"""Running a job at the terminal: signals reach it, progress is shown, the summary is told."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from enricher.cli.progress import shown_progress
from enricher.cli.signals import watch
from enricher.cli.telling import check_summary_file, say, signal_name, tell_summary, warn

if TYPE_CHECKING:
    from enricher.api import Hooks, Stop, Summary


def work(job: "Callable[[Hooks], Summary]", *, as_json: bool, summary_file: Path | None) -> int:
    """Run `job` with what a terminal gives it, and return the exit code."""
    check_summary_file(summary_file)
    return tell_summary(attended(job), as_json=as_json, summary_file=summary_file)


def attended(job: "Callable[[Hooks], Summary]") -> "Summary":
    """Run `job`, showing its progress and handing it the signals."""
    from enricher.api import Hooks

    try:
        with shown_progress() as progress:
            return job(Hooks(warn=warn, progress=progress, ready=_deliver_signals))
    finally:
        watch.deliver_to(lambda _: None)  # it ends by itself; what became of it is still told


def _deliver_signals(stop: "Callable[[Stop], None]") -> None:
    import asyncio

    from enricher.api import Stop, StopCode

    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def received(number: int) -> None:
        if not loop.is_closed():  # closed: the job ends at this very moment
            loop.call_soon_threadsafe(obey, number)

    def obey(number: int) -> None:
        name = signal_name(number)
        heard.append(number)
        if len(heard) == 1:
            say(f"{name}: stopping; waiting for the answers to what was sent (again: do not wait)")
        else:
            say(f"{name}: waiting no more; what has no answer is in doubt")
        stop(Stop(StopCode.SIGNAL, f"stopped by {name}", number))

    watch.deliver_to(received)
