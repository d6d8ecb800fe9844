"""A summary as metrics in the Prometheus text format. Names and labels are for dashboards: stable.

Pure: everything comes from the summary.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from enricher.harmless import printable
from enricher.report.summary import JobOutcome, Summary

BEGINS = "# HELP enricher_"
"""How a file of metrics begins: what begins otherwise is never replaced by one."""

MOST_CODES = 20
"""Codes are a server's words, and each is a series for ever."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(summary: Summary) -> str:
    """All metrics of a job; what is not known is left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Job(summary))
    return generate_latest(registry).decode()


class _Job(Collector):
    """Every metric has the label `job`: files of several jobs may lie in one directory."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._job = printable(summary.job or "")

    def collect(self) -> Iterator[Metric]:
        yield self._info()
        yield from self._course()
        yield from self._counts()
        yield from self._pace()

    def _info(self) -> Metric:
        one = self._summary
        names = ("provider", "target", "input", "checkpoint")
        info = GaugeMetricFamily("enricher_info", "What the job is.", labels=["job", *names])
        values = [printable(getattr(one, name) or "") for name in names]
        info.add_metric([self._job, *values], 1)
        return info

    def _course(self) -> Iterator[Metric]:
        one = self._summary
        outcomes = {str(outcome): float(outcome is one.outcome) for outcome in JobOutcome}
        yield self._gauges("outcome", "1 for the job's outcome, 0 for the others.", outcomes)
        times = {
            "started": ("When the latest invocation began.", one.started_at),
            "updated": ("When the job was last heard of.", one.updated_at),
        }
        for name, (words, at) in times.items():
            value = datetime.fromisoformat(at).timestamp() if at else None
            yield from self._gauge(f"{name}_timestamp_seconds", words, value)
        yield from self._gauge("exit_code", "Of an invocation that has ended.", one.exit_code)
        yield from self._gauge("elapsed_seconds", "Of the latest invocation.", one.seconds)
        yield from self._gauge("remaining_seconds", "Estimated time left.", one.eta_seconds)

    def _counts(self) -> Iterator[Metric]:
        rows, runs, requests = self._summary.rows, self._summary.runs, self._summary.requests
        statuses = ("completed", "failed", "skipped", "pending", "in_doubt")
        by_status = {status: float(getattr(rows, status)) for status in statuses}
        yield self._gauges("rows", "Rows of the input by status.", by_status, "status")
        yield from self._gauge("rows_reused", "Rows answered without a submission.", rows.reused)
        yield from self._gauge("rows_kept_old", "Rows whose refresh failed.", rows.kept_old)
        yield from self._gauge("runs_in_flight", "Runs that have not ended.", runs.in_flight)
        counters: Mapping[str, tuple[str, str, Mapping[str, float]]] = {
            "runs_submitted": ("Accepted submissions.", "", {"": runs.submitted}),
            "runs_resubmitted": (
                "Submissions that were sent again.",
                "cause",
                {"in_doubt": runs.resubmitted_in_doubt, "failed": runs.resubmitted_failed},
            ),
            "requests": (
                "Requests that left.",
                "kind",
                {kind: getattr(requests, kind) for kind in ("submit", "poll", "other")},
            ),
            "requests_rate_limited": ("Refused for the rate.", "", {"": requests.rate_limited}),
            "requests_retried": ("Sent again.", "", {"": requests.retried}),
        }
        for name, (words, label, values) in counters.items():
            yield self._counter(name, words, label, values)

    def _pace(self) -> Iterator[Metric]:
        one, live = self._summary, self._summary.live
        known = (live.credits if live else None, one.credits.after, one.credits.before)
        ended = (one.credits.after, one.credits.before)
        credits = ended if one.outcome is not JobOutcome.RUNNING else known
        left = next((value for value in credits if value is not None), None)
        yield from self._gauge("credits_remaining", "The account's credits, last read.", left)
        if live is None:
            return
        yield from self._gauge("rate_limit", "Requests a second that are allowed.", live.rate)
        if one.outcome is JobOutcome.RUNNING:
            yield from self._gauge("rate_used_ratio", "Share of the limit used.", live.use)
            yield from self._gauge("runs_per_second", "That ended lately.", live.runs_per_second)
        yield self._counter("errors", "Failures and doubts.", "code", _by_code(live.errors))

    def _gauge(self, name: str, words: str, value: float | None) -> Iterator[Metric]:
        if value is not None:
            gauge = GaugeMetricFamily(f"enricher_{name}", words, labels=["job"])
            gauge.add_metric([self._job], value)
            yield gauge

    def _gauges(
        self, name: str, words: str, values: Mapping[str, float], label: str = ""
    ) -> Metric:
        gauges = GaugeMetricFamily(f"enricher_{name}", words, labels=["job", label or name])
        for kind, value in values.items():
            gauges.add_metric([self._job, kind], value)
        return gauges

    def _counter(self, name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
        """Of this invocation: Prometheus takes a fall for a new beginning, which it is."""
        labels = ["job", label] if label else ["job"]
        counter = CounterMetricFamily(f"enricher_{name}", words, labels=labels)
        for kind, value in values.items():
            counter.add_metric([self._job, kind] if label else [self._job], value)
        return counter


def _by_code(errors: Mapping[str, int]) -> Mapping[str, float]:
    """The most frequent codes, and the sum of the others."""
    often = sorted(errors.items(), key=lambda error: (-error[1], error[0]))
    told: dict[str, float] = {}
    for number, (code, count) in enumerate(often):
        name = printable(code) if number < MOST_CODES else "other"
        told[name] = told.get(name, 0) + count
    return told
