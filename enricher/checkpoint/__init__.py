"""The checkpoint: what was submitted and what came back, in one SQLite file.

`Store` writes, `Committer` groups what is written, `Reader` reads, `hold` keeps others out.
`shipped` keeps it in an object store, for those who share no disk.
"""

from enricher.checkpoint.committer import Apply, Committer, Watch, in_thread, inline
from enricher.checkpoint.lock import hold, is_held
from enricher.checkpoint.passes import JobSpec, Pass
from enricher.checkpoint.reader import JobRecord, Reader, Unfinished
from enricher.checkpoint.store import Store
from enricher.checkpoint.survey import Attempt, Stretch, Survey

__all__ = [
    "Apply",
    "Attempt",
    "Committer",
    "JobRecord",
    "JobSpec",
    "Pass",
    "Reader",
    "Store",
    "Stretch",
    "Survey",
    "Unfinished",
    "Watch",
    "hold",
    "in_thread",
    "inline",
    "is_held",
]
