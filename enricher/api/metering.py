"""Metrics in a file, for the textfile collector of Prometheus's node exporter."""

from pathlib import Path

from enricher.errors import OutputError
from enricher.report.metrics import BEGINS, metrics_text
from enricher.report.summary import Summary
from enricher.sink import check_own, replacing


def check_metrics_file(path: Path) -> None:
    """Make sure, before money is spent, that metrics can be written to `path`.

    Raises:
        OutputError: they cannot, or a file that holds something else would be lost.
    """
    refusal = OutputError(
        f"{path} exists and holds no metrics of enricher: it is not replaced.",
        mend="Name another file with --metrics-file.",
        code="metrics_exist",
    )
    check_own(path, BEGINS, refusal)


def metrics_to(path: Path, summary: Summary) -> None:
    """See `api.write_metrics`. A collector that reads meanwhile sees the old file or the new."""
    with replacing(path, durable=False) as (file, _):
        file.write(metrics_text(summary).encode())
