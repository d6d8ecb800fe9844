"""What `import enricher` gives: the verbs of the command line for programs, on top of `api`.

options.py   the options of a job as keyword arguments
job.py       a job
events.py    what a program hears of a job
running.py   a job in a thread of its own, and how it is stopped
showing.py   progress, for who asks for it
verbs.py     run, plan, resume, status, export
"""

from enricher.api import EventName, JobOutcome, Plan, Status, Summary
from enricher.library.events import Event
from enricher.library.job import Job
from enricher.library.options import Changes, Options
from enricher.library.verbs import (
    aplan,
    aresume,
    arun,
    export,
    jobs,
    plan,
    resume,
    run,
    status,
    stream,
)

__all__ = [
    "Changes",
    "Event",
    "EventName",
    "Job",
    "JobOutcome",
    "Options",
    "Plan",
    "Status",
    "Summary",
    "aplan",
    "aresume",
    "arun",
    "export",
    "jobs",
    "plan",
    "resume",
    "run",
    "status",
    "stream",
]
