"""The options that several commands share: the everyday ones first."""

from typing import Any

import click

from enricher.cli.choices import ALLOW_FAILURES, CHOOSING, SELECTION
from enricher.cli.groups import (
    AGAIN,
    MONEY,
    PACE,
    PATH,
    ROWS,
    WHAT,
    Pair,
    Parsed,
    option,
    together,
)
from enricher.cli.telling_options import TELLING_OPTIONS

PROVIDER = option(
    "--provider",
    metavar="NAME",
    group=WHAT,
    help="Whose API: bitscale, 8bitedge, scale, http (told by a job file) or an installed plugin;"
    " `enricher providers` lists all. Default: bitscale.",
)
_GRID = "The BitScale grid to run; `enricher grids` lists them. Required for BitScale."
GRID = option("--grid", metavar="ID", group=WHAT, help=_GRID)
GRIDS = option(
    "--grid",
    multiple=True,
    metavar="ID",
    group=WHAT,
    help=f"{_GRID} For several keys one for all, or one with each key, in the same order.",
)
ENDPOINT = option(
    "--endpoint",
    multiple=True,
    metavar="NAME",
    group=WHAT,
    help="The 8bitedge endpoint, with --provider 8bitedge: enrichment, signals or intelligence.",
)
WORKFLOW = option(
    "--workflow",
    multiple=True,
    metavar="ID",
    group=WHAT,
    help="The Scale workflow to run, with --provider scale.",
)
OUTPUT = option(
    "-o",
    "--output",
    metavar="PATH",
    group=WHAT,
    help="Where the output goes: a file, its format by extension; - for CSV on standard output; an"
    " object (s3://, gs://, az://) or a table (postgresql://…#TABLE, sqlite:///…#TABLE)."
    " Default: leads.csv.gz gives leads.enriched.csv.gz beside it. Required where the input is"
    " -, several files or a database.",
)
OVERWRITE = option(
    "--overwrite",
    is_flag=True,
    default=None,
    group=WHAT,
    help="Replace an existing output that no job of this checkpoint wrote.",
)
EXCEL_SAFE = option(
    "--excel-safe",
    is_flag=True,
    default=None,
    group=WHAT,
    help="In CSV, put ' before enriched text that a spreadsheet would run as a formula.",
)
OUTPUT_COLUMNS = option(
    "--output-column",
    "output_columns",
    multiple=True,
    metavar="NAME_OR_ID",
    group=WHAT,
    help="Ask for this output only; repeatable, and given in the grid's order. Default: all.",
)
BASE_URL = option(
    "--base-url",
    metavar="URL",
    group=WHAT,
    help="What stands before every API path, such as that of a simulator. Default: env"
    " BITSCALE_BASE_URL (of another provider: see `enricher providers`), then the provider's"
    " own.",
)
_KEY_FILE = (
    "Read the key from this private file (mode 0600), and again when the server refuses it."
    " Default: env BITSCALE_API_KEY (of another provider: see `enricher providers`), then"
    " systemd's credentials, then the system keyring."
)
KEY_FILE = option("--api-key-file", type=PATH, metavar="PATH", group=WHAT, help=_KEY_FILE)
KEY_FILES = option(
    "--api-key-file",
    type=PATH,
    multiple=True,
    metavar="PATH",
    group=WHAT,
    help=f"{_KEY_FILE} Repeatable for a job in shards, which run with the keys in turn.",
)
RATE = option(
    "--rate",
    type=Parsed("rate", "parse_rate"),
    metavar="N|auto|unlimited",
    group=PACE,
    help="Requests per second, all endpoints together; 0.5 is one in two seconds, and above 1 a"
    " fraction is rounded down. Default: auto, which starts at 5 and follows the server's"
    " headers.",
)
STATUS_PREFIX = option(
    "--status-prefix",
    metavar="NAME",
    group=WHAT,
    help="Name the status columns NAME_status and NAME_error. Default: enrichment.",
)
LIMITER = option(
    "--limiter",
    metavar="local|host|URL",
    group=PACE,
    help="Who keeps the limit together: host, all jobs of yours on this machine with the same key;"
    " local, this job alone; redis://HOST/0, all who name that server. Default: host.",
)
MODE = option(
    "--mode",
    type=click.Choice(["async", "sync", "auto"]),
    group=PACE,
    help="async submits and polls; sync holds one request per run, and what is open at a crash is"
    " in doubt; auto may change to sync when that is clearly faster. Default: async.",
)
MAX_IN_FLIGHT = option(
    "--max-in-flight",
    type=Parsed("count", "parse_in_flight"),
    metavar="N|auto",
    group=PACE,
    help="How many runs may be submitted and not finished. Default: auto, which sizes itself, up"
    " to 1,000.",
)
RUN_TIMEOUT = option(
    "--run-timeout",
    type=Parsed("age", "parse_age"),
    metavar="AGE",
    group=PACE,
    help="A run still going after this long shows as failed RUN_TIMEOUT; later invocations look"
    " again and never submit it twice. Default: 2h.",
)
MAX_CREDITS = option(
    "--max-credits",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    group=MONEY,
    help="Stop before this pass (a job from its start until it finishes, over all its invocations)"
    " has used more than N credits of the workspace, what is in flight included. Runs go one at"
    " a time until the cost of one is known.",
)
MAX_FAILURES = option(
    "--max-failures",
    type=Parsed("limit", "parse_limit"),
    metavar="N|P%",
    group=MONEY,
    help="Stop when so many runs have failed in this invocation, or this share of those that ended"
    " in it, once 20 have. Default: 50%.",
)
MAX_OUTAGE = option(
    "--max-outage",
    type=Parsed("age", "parse_age"),
    metavar="AGE",
    group=MONEY,
    help="How long to wait for a server that does not answer, before stopping with code 4. Default:"
    " 15m.",
)
MAX_ATTEMPTS = option(
    "--max-attempts",
    type=click.IntRange(min=1),
    metavar="N",
    group=AGAIN,
    help="Submissions per run in all, for --retry-failed and --in-doubt retry. Default: 3.",
)
RETRY_LOCK = option(
    "--retry-lock",
    type=Parsed("age", "parse_age"),
    metavar="AGE",
    group=AGAIN,
    help="Wait so long for another process to leave the checkpoint, before ending with code 4."
    " Default: 0s.",
)
EACH_TIME = (
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
)
"""Options that `resume` does not remember: they are given anew each time."""

WORKING = (
    MODE,
    RATE,
    LIMITER,
    MAX_IN_FLIGHT,
    RUN_TIMEOUT,
    *EACH_TIME,
    MAX_ATTEMPTS,
    MAX_CREDITS,
    MAX_FAILURES,
    MAX_OUTAGE,
)
"""Options of how a job is worked off, which each `resume` may change."""


JOB_ID = option(
    "--job",
    "job_id",
    metavar="ID",
    group=WHAT,
    help="Which job of the checkpoint; `enricher status CHECKPOINT --jobs` lists them. Default: the"
    " one used last.",
)
MOVED_INPUT = option(
    "--input",
    "read_from",
    type=PATH,
    metavar="PATH",
    group=WHAT,
    help="Read the input from here, since it moved; with a job file, in place of the one that it"
    " names. The job stays the same one.",
)

TEXT = (
    option(
        "--sheet",
        metavar="NAME|N",
        group=ROWS,
        help="The sheet of a workbook, by name or number. Default: the first that is visible.",
    ),
    option(
        "--encoding",
        metavar="NAME",
        group=ROWS,
        help="Encoding of the input. Default: found; UTF-8, UTF-16 with a byte order mark, else"
        " Windows-1252.",
    ),
    option(
        "--delimiter",
        metavar="CHARACTER",
        group=ROWS,
        help="What separates the cells of a CSV input, such as ; or tab. Default: found.",
    ),
    option(
        "--ragged",
        type=click.Choice(["error", "pad", "skip"]),
        group=ROWS,
        help="A row with too few or too many fields: refuse it by its line, fill it up with empty"
        " cells, or leave it out, of the output too. Default: error.",
    ),
)

QUERY = option(
    "--query",
    metavar="SQL",
    group=WHAT,
    help="Of a database: read what it answers to this, such as SELECT … FROM … WHERE ….",
)
TABLE = option(
    "--table", metavar="NAME", group=WHAT, help="Of a database: read this table, or schema.table."
)

JOB_OPTIONS = together(
    [
        GRIDS,
        PROVIDER,
        ENDPOINT,
        WORKFLOW,
        option(
            "-m",
            "--map",
            "maps",
            type=Pair(),
            multiple=True,
            metavar="LABEL=COLUMN",
            group=ROWS,
            help="Feed a grid input from a column; repeatable. Default: labels are matched to"
            " columns by name.",
        ),
        option(
            "--set",
            "templates",
            type=Pair(),
            multiple=True,
            metavar="LABEL=TEMPLATE",
            group=ROWS,
            help='Feed a grid input from a template, "https://{Domain}", or a constant; {{ is a'
            " brace; --set LABEL= leaves it empty.",
        ),
        *SELECTION,
        *TEXT,
        QUERY,
        TABLE,
        OUTPUT,
        OVERWRITE,
        EXCEL_SAFE,
        OUTPUT_COLUMNS,
        *CHOOSING,
        MOVED_INPUT,
        option(
            "--source-id",
            metavar="ID",
            group=WHAT,
            help="The grid's BitScale source. Default: the first available.",
        ),
        BASE_URL,
        KEY_FILES,
        STATUS_PREFIX,
        *WORKING,
        option(
            "--no-dedupe",
            is_flag=True,
            default=None,
            group=AGAIN,
            help="One run per row, also for rows with equal inputs, which share one otherwise.",
        ),
        option(
            "--checkpoint",
            type=PATH,
            metavar="PATH",
            group=AGAIN,
            help="Checkpoint file; may be shared by many jobs and nights. Default:"
            " <job file stem>.checkpoint.db beside a job file, else <output>.checkpoint.db.",
        ),
        RETRY_LOCK,
        ALLOW_FAILURES,
        *TELLING_OPTIONS,
    ]
)


TARGETS = {"grid", "endpoint", "workflow"}
_PAIRED = {"api_key_file", *TARGETS}
"""What several workspaces have one of each; given once, it is no list."""


def job_options(given: dict[str, Any]) -> dict[str, Any]:
    """What click parsed, as the options of a job.

    Raises:
        click.UsageError: a label that is fed twice.
    """
    options = dict(given)
    for name, flag in (("maps", "-m"), ("templates", "--set")):
        pairs = options.pop(name, ())
        labels = [label for label, _ in pairs]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise click.UsageError(f"{flag} feeds {', '.join(twice)} more than once.")
        options[name] = dict(pairs)
    for name in _PAIRED & options.keys():
        values = options[name] or (None,)
        options[name] = values[0] if len(values) == 1 else list(values)
    return options
