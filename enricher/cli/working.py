"""The options of how a job is worked off: how fast, what it may cost, what is tried again."""

import click

from enricher.cli.groups import AGAIN, MONEY, PACE, Parsed, option

WORKING = (
    option(
        "--mode",
        type=click.Choice(["async", "sync", "auto"]),
        group=PACE,
        help="async submits and polls; sync holds one request per run, and what is open at a crash"
        " is"
        " in doubt; auto may change to sync when that is clearly faster. Default: async.",
    ),
    option(
        "--rate",
        type=Parsed("rate", "parse_rate"),
        metavar="N|auto|unlimited",
        group=PACE,
        help="Requests per second, all endpoints together; 0.5 is one in two seconds, and above 1 a"
        " fraction is rounded down. Default: auto, which starts at 5 and follows the server's"
        " headers.",
    ),
    option(
        "--limiter",
        metavar="local|host|URL",
        group=PACE,
        help="Who keeps the limit together: host, all jobs of yours on this machine with the same"
        " key;"
        " local, this job alone; redis://HOST/0, all who name that server. Default: host.",
    ),
    option(
        "--max-in-flight",
        type=Parsed("count", "parse_in_flight"),
        metavar="N|auto",
        group=PACE,
        help="How many runs may be submitted and not finished. Default: auto, which sizes itself,"
        " up"
        " to 1,000.",
    ),
    option(
        "--run-timeout",
        type=Parsed("age", "parse_age"),
        metavar="AGE",
        group=PACE,
        help="A run still going after this long shows as failed RUN_TIMEOUT; later invocations look"
        " again and never submit it twice. Default: 2h.",
    ),
    option(
        "--max-runs",
        type=click.IntRange(min=1),
        metavar="N",
        group=MONEY,
        help="Submit at most N runs in this invocation; exact. Default: no limit.",
    ),
    option(
        "--yes",
        is_flag=True,
        default=None,
        group=MONEY,
        help="Do not ask. Without it, more than 1,000 new runs are shown and asked about first,"
        " on a terminal.",
    ),
    option(
        "--stop-after",
        type=Parsed("age", "parse_age"),
        metavar="AGE",
        group=MONEY,
        help="Submit nothing more after this long (90s, 15m, 2h), and collect what is running for"
        " up to a minute.",
    ),
    option(
        "--in-doubt",
        type=click.Choice(["hold", "retry", "fail"]),
        group=AGAIN,
        help="A submission whose answer was lost: leave it for a person, submit it again once after"
        " all other work, or close it as failed. Default: hold.",
    ),
    option(
        "--retry-failed",
        is_flag=True,
        default=None,
        group=AGAIN,
        help="Submit again what ended as failed before this pass. Runs that timed out or were not"
        " found are looked at again, not submitted, unless --in-doubt retry.",
    ),
    option(
        "--refresh-after",
        type=Parsed("age", "parse_age"),
        metavar="AGE",
        group=AGAIN,
        help="Run again, once, what is older than this (30d, 12h, 0s) when the pass begins; the old"
        " result stays until a new one is complete.",
    ),
    option(
        "--max-attempts",
        type=click.IntRange(min=1),
        metavar="N",
        group=AGAIN,
        help="Submissions per run in all, for --retry-failed and --in-doubt retry. Default: 3.",
    ),
    option(
        "--max-credits",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        group=MONEY,
        help="Stop before this pass (a job from its start until it finishes, over all its"
        " invocations)"
        " has used more than N credits of the workspace, what is in flight included. Runs go one at"
        " a time until the cost of one is known.",
    ),
    option(
        "--max-failures",
        type=Parsed("limit", "parse_limit"),
        metavar="N|P%",
        group=MONEY,
        help="Stop when so many runs have failed in this invocation, or this share of those that"
        " ended"
        " in it, once 20 have. Default: 50%.",
    ),
    option(
        "--max-outage",
        type=Parsed("age", "parse_age"),
        metavar="AGE",
        group=MONEY,
        help="How long to wait for a server that does not answer, before stopping with code 4."
        " Default:"
        " 15m.",
    ),
)
"""All that each `resume` may change; `api.going_on` says which of it is given anew each time."""

RETRY_LOCK = option(
    "--retry-lock",
    type=Parsed("age", "parse_age"),
    metavar="AGE",
    group=AGAIN,
    help="Wait so long for another process to leave the checkpoint, before ending with code 4."
    " Default: 0s.",
)
