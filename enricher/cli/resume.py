"""`enricher resume`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.choices import ALLOW_FAILURES, CHOOSING
from enricher.cli.groups import PATH, GroupedCommand, together
from enricher.cli.options import (
    BASE_URL,
    EACH_TIME,
    EXCEL_SAFE,
    JOB_ID,
    JSON,
    KEY_FILE,
    MAX_ATTEMPTS,
    MAX_CREDITS,
    MAX_FAILURES,
    MAX_IN_FLIGHT,
    MAX_OUTAGE,
    MODE,
    MOVED_INPUT,
    OUTPUT,
    OVERWRITE,
    RATE,
    RETRY_LOCK,
    RUN_TIMEOUT,
    SUMMARY_FILE,
    TEXT,
)
from enricher.cli.work import work


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
        MODE,
        RATE,
        MAX_IN_FLIGHT,
        RUN_TIMEOUT,
        *EACH_TIME,
        MAX_ATTEMPTS,
        MAX_CREDITS,
        MAX_FAILURES,
        MAX_OUTAGE,
        RETRY_LOCK,
        ALLOW_FAILURES,
        JSON,
        SUMMARY_FILE,
    ]
)
def command(
    checkpoint: Path, job_id: str | None, as_json: bool, summary_file: Path | None, **changes: Any
) -> int:
    """Go on with the job that CHECKPOINT holds, from any directory.

    It keeps the options of the job's last invocation, whatever their defaults below; those given
    here replace them. --max-runs, --stop-after, --in-doubt, --retry-failed and --refresh-after are
    not kept.

    \b
    enricher resume out.csv.checkpoint.db
    """
    from enricher import api

    return work(
        lambda hooks: api.resume(
            checkpoint.absolute(), changes, job_id=job_id, hooks=hooks, as_json=as_json
        ),
        as_json=as_json,
        summary_file=summary_file,
    )
