"""The options that several commands share: the everyday ones first."""

from typing import Any

import click

from enricher.cli.choices import ALLOW_FAILURES, CHOOSING, SELECTION
from enricher.cli.groups import (
    AGAIN,
    PATH,
    ROWS,
    WHAT,
    Pair,
    option,
    together,
)
from enricher.cli.telling_options import TELLING_OPTIONS
from enricher.cli.working import RETRY_LOCK, WORKING

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
STATUS_PREFIX = option(
    "--status-prefix",
    metavar="NAME",
    group=WHAT,
    help="Name the status columns NAME_status and NAME_error. Default: enrichment.",
)


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
