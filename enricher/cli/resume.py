"""`enricher resume`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.choices import ALLOW_FAILURES, CHOOSING
from enricher.cli.groups import PATH, GroupedCommand, together
from enricher.cli.options import (
    BASE_URL,
    EXCEL_SAFE,
    JOB_ID,
    KEY_FILE,
    MOVED_INPUT,
    OUTPUT,
    OVERWRITE,
    STATUS_PREFIX,
    TEXT,
)
from enricher.cli.telling_options import TELLING_OPTIONS
from enricher.cli.voice import voice
from enricher.cli.work import work
from enricher.cli.working import RETRY_LOCK, WORKING


@click.command(
    "resume",
    cls=GroupedCommand,
    short_help="Go on with the job of a checkpoint, from any directory.",
)
@click.argument("checkpoint", type=PATH)
@together(
    [
        JOB_ID,
        MOVED_INPUT,
        OUTPUT,
        OVERWRITE,
        EXCEL_SAFE,
        *CHOOSING,
        *TEXT,
        BASE_URL,
        KEY_FILE,
        STATUS_PREFIX,
        *WORKING,
        RETRY_LOCK,
        ALLOW_FAILURES,
        *TELLING_OPTIONS,
    ]
)
def command(checkpoint: Path, job_id: str | None, **given: Any) -> int:
    """Go on with the job that CHECKPOINT holds, from any directory.

    It keeps the options of the job's last invocation, whatever their defaults below; those given
    here replace them. --max-runs, --stop-after, --in-doubt, --retry-failed, --refresh-after and
    --yes are not kept.

    \b
    enricher resume out.csv.checkpoint.db
    enricher resume out.csv.checkpoint.db --retry-failed
    enricher resume out.csv.checkpoint.db --in-doubt retry --max-runs 10
    """
    from enricher import api

    telling, changes = api.telling_of({k: v for k, v in given.items() if v is not None})
    voice.heed(telling)
    voice.known = {"job": job_id, "checkpoint": str(checkpoint.absolute())}
    return work(
        lambda hooks: api.resume(
            checkpoint.absolute(), changes, job_id=job_id, hooks=hooks, as_json=telling.as_json
        ),
        as_json=telling.as_json,
        summary_file=telling.summary_file,
    )
