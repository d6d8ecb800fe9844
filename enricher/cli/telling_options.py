"""The options of how a command tells what it has to tell."""

import click

from enricher.cli.groups import PATH, TELLING, option

JSON = option(
    "--json",
    "as_json",
    is_flag=True,
    default=None,
    group=TELLING,
    help="Print one JSON object, on one line, and nothing else on standard output.",
)
SUMMARY_FILE = option(
    "--summary-file",
    type=PATH,
    metavar="PATH",
    group=TELLING,
    help="Write the JSON object of --json to this file, whatever the outcome.",
)
TELLING_OPTIONS = (
    JSON,
    SUMMARY_FILE,
    option(
        "--metrics-file",
        type=PATH,
        metavar="PATH",
        group=TELLING,
        help="Write metrics for Prometheus's textfile collector to this file,"
        " every second; not of plan.",
    ),
    option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        group=TELLING,
        help="How standard error tells: json is one object a line, with a stable `event`. Default:"
        " text.",
    ),
    option(
        "-q",
        "--quiet",
        is_flag=True,
        default=None,
        group=TELLING,
        help="Say nothing but errors, and the summary of a job that did not end with code 0.",
    ),
    option(
        "-v",
        "--verbose",
        is_flag=True,
        default=None,
        group=TELLING,
        help="Say every failure as it happens, with the time.",
    ),
    option(
        "--no-progress",
        is_flag=True,
        default=None,
        group=TELLING,
        help="Show no progress. Without it: a picture on a terminal, else a line every 30 s.",
    ),
)
"""How a job is told; all go to `enricher.api` with the job's own options."""
