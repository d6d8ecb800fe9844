"""The options of a job, as keyword arguments."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict

PathText = str | PathLike[str]
"""A path, as text or as a `Path`; where a table may stand elsewhere, an address too."""

Fed = str | Mapping[str, str]
"""What feeds an input: a column's name, or `{"template": …}`, `{"value": …}`, `{"column": …}`."""


class Changes(TypedDict, total=False):
    """Options that `resume` takes too: they do not change what is asked of the provider.

    Ages are seconds, or text with a unit such as `"90s"`, `"2h"`, `"30d"`; `rate` is in requests
    per second, `max_credits` in credits of the workspace. `None` means not given.

    Raises:
        UsageError: whoever takes them lists every mistake at once.

    Example:
        >>> _ = enricher.run("companies.csv", grid=GRID, output="out.csv", max_runs=1)
        >>> changes: enricher.Changes = {"rate": 20, "max_runs": 4, "base_url": BASE_URL}
        >>> enricher.resume("out.csv.checkpoint.db", **changes).runs.submitted
        4
    """

    output: PathText | None
    overwrite: bool
    excel_safe: bool
    status_prefix: str | None
    columns: Sequence[str] | None
    only_enriched: bool
    explode: bool
    failures: PathText | None
    read_from: PathText | None
    encoding: str | None
    sheet: str | None
    delimiter: str | None
    ragged: Literal["error", "pad", "skip"] | None
    base_url: str | None
    api_key_file: PathText | None
    api_key_env: str | None
    rate: float | str | None
    mode: Literal["async", "sync", "auto"] | None
    max_in_flight: int | str | None
    run_timeout: float | str | None
    in_doubt: Literal["hold", "retry", "fail"] | None
    retry_failed: bool
    max_attempts: int | None
    refresh_after: float | str | None
    allow_failures: int | str | None
    max_runs: int | None
    max_credits: float | None
    max_failures: int | str | None
    stop_after: float | str | None
    max_outage: float | str | None
    retry_lock: float | str | None
    limiter: str | None


class Options(Changes, total=False):
    """The options of `run` and `plan`, by the names of the command line: those of `Changes` too.

    Ages are seconds, or text with a unit such as `"90s"`, `"2h"`, `"30d"`. `None` means not given.
    What each does stands in docs/usage.md; docs/python.md lists them with their units.

    Raises:
        UsageError: whoever takes them lists every mistake at once.

    Example:
        >>> options: enricher.Options = {"grid": GRID, "rate": 20, "max_runs": 100}
        >>> enricher.plan("companies.csv", **options).census.new_runs
        36
    """

    provider: str | None
    grid: str | None
    endpoint: str | None
    workflow: str | None
    inputs: Mapping[str, Fed] | None
    checkpoint: PathText | None
    source_id: str | None
    query: str | None
    table: str | None
    output_columns: Sequence[str] | None
    require: Sequence[str] | None
    where: str | None
    sample: int | None
    seed: int | None
    offset: int | None
    limit: int | None
    no_dedupe: bool


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the wiring takes them: without those not given, `inputs` taken apart.

    Raises:
        UsageError: an input that is of no form.
    """
    from enricher import api

    given = {name: value for name, value in options.items() if value is not None}
    inputs = given.pop("inputs", None)
    return given if inputs is None else {**given, **api.fed_by(inputs)}
