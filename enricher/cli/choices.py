"""The options that choose rows to submit for, and what is written where."""

import csv
from typing import Any

import click

from enricher.cli.groups import ROWS, TELLING, WHAT, Parsed, option


class Columns(click.ParamType[Any]):
    """Names separated by commas; one that holds a comma stands in double quotes."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        try:
            (names,) = csv.reader([str(value)], skipinitialspace=True, strict=True)
        except (csv.Error, ValueError):
            self.fail(f"{value!r} is no list of names such as 'Company Name,Tags'", param, ctx)
        return tuple(names)


CHOOSING = (
    option(
        "--columns",
        type=Columns(),
        metavar="NAME,…",
        group=WHAT,
        help="Write only these columns, in this order; of the input, the outputs and the status."
        " Default: all.",
    ),
    option(
        "--only-enriched",
        is_flag=True,
        default=None,
        group=WHAT,
        help="Write only rows that have a result. Default: all rows.",
    ),
    option(
        "--explode",
        is_flag=True,
        default=None,
        group=WHAT,
        help="Write a row for each row of a result: where all outputs of a row are equally long"
        " lists, their elements below each other, the input's columns repeated.",
    ),
    option(
        "--failures",
        metavar="PATH",
        group=WHAT,
        help="Write rows that failed or are in doubt to a list of their own, with their errors.",
    ),
)
"""What of the output is written, and where else."""

ALLOW_FAILURES = option(
    "--allow-failures",
    type=Parsed("limit", "parse_limit"),
    metavar="N|P%",
    group=TELLING,
    help="End with code 0 and not 3 if no more rows than this have failed, or this share of those"
    " that were submitted for. Doubts are never allowed. Default: 0.",
)
SELECTION = (
    option(
        "--require",
        multiple=True,
        metavar="LABEL",
        group=ROWS,
        help="Skip rows whose value for this grid input is blank; repeatable. Default: rows are"
        " skipped when every column they feed from is blank.",
    ),
    option(
        "--where",
        metavar="EXPR",
        group=ROWS,
        help="Submit only for rows where this SQL expression over the input's columns is true, as"
        """ in "CAST(Size AS INT) > 50 AND Country <> 'US'".""",
    ),
    option(
        "--sample",
        type=click.IntRange(min=1),
        metavar="N",
        group=ROWS,
        help="Submit for N rows only, drawn at random of those that pass --where and --require; the"
        " same ones each time.",
    ),
    option(
        "--seed",
        type=int,
        metavar="S",
        group=ROWS,
        help="Draw another sample: each number gives its own. Default: 0.",
    ),
    option(
        "--offset",
        type=click.IntRange(min=0),
        metavar="N",
        group=ROWS,
        help="Leave out the first N of the rows that pass.",
    ),
    option(
        "--limit",
        type=click.IntRange(min=1),
        metavar="N",
        group=ROWS,
        help="Submit for the first N rows that pass --where and --require.",
    ),
)
"""Which rows are submitted for; all others show what is known of them."""
