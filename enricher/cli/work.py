"""Running a job at the terminal: signals reach it, progress is shown, the summary is told."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from enricher.cli.ending import signal_name, tell_summary
from enricher.cli.metering import Meter
from enricher.cli.programs import check_summary_file
from enricher.cli.progress import Progress, shown_progress
from enricher.cli.questions import answered_yes
from enricher.cli.signals import watch
from enricher.cli.telling import detail, say
from enricher.cli.telling import warn as tell_warning
from enricher.cli.voice import voice
from enricher.errors import EnricherError
from enricher.notice import EventName

if TYPE_CHECKING:
    from enricher.api import Hooks, Plan, Stop, Summary


def work(job: "Callable[[Hooks], Summary]", *, as_json: bool, summary_file: Path | None) -> int:
    """Run `job` with what a terminal gives it, and return the exit code."""
    check_summary_file(summary_file)
    meter = Meter(voice.metrics_file)
    meter.check()
    try:
        summary = attended(job, meter)
    except EnricherError as error:
        meter.failed(error)
        raise
    return tell_summary(summary, as_json=as_json, summary_file=summary_file)


def attended(job: "Callable[[Hooks], Summary]", meter: Meter | None = None) -> "Summary":
    """Run `job`, showing its progress, handing it the signals and asking where it must ask."""
    from enricher.api import Hooks

    meter = meter or Meter(None)
    try:
        with shown_progress() as progress:

            def show(summary: "Summary") -> None:
                meter.show(summary)
                progress.show(summary)

            hooks = Hooks(
                warn=tell_warning,
                detail=detail,
                progress=show,
                ready=_deliver_signals,
                consent=_asking(progress) if voice.may_ask else None,
            )
            return job(hooks)
    finally:
        watch.deliver_to(lambda _: None)  # it ends by itself; what became of it is still told


def _asking(progress: Progress) -> "Callable[[Plan], bool]":
    def agreed(plan: "Plan") -> bool:
        from enricher.cli.plan import plan_lines

        with progress.paused():
            say("\n".join(plan_lines(plan)))
            return answered_yes(f"Submit {plan.census.new_runs:,} new runs?")

    return agreed


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
            words = (
                "stopping; waiting for the answers to what was sent (again: do not wait), then"
                " writing what there is"
            )
        else:
            words = "waiting no more; what has no answer is in doubt"
        say(f"{name}: {words}", EventName.STOPPING, signal=number)
        stop(Stop(StopCode.SIGNAL, f"stopped by {name}", number))

    watch.deliver_to(received)
