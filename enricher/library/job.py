"""A job as a program holds it."""

import os
from pathlib import Path
from typing import Unpack

from enricher import api
from enricher.library.options import Options, PathText, plain


class Job(api.Job):
    """Everything that can be said of a job, checked: what is read, asked, fed and written.

    Frozen; made by `from_options` or `from_toml`. Its fields are the options, with absolute paths,
    ages in seconds and `rate` in requests per second. It holds no key.

    Raises:
        UsageError: lists every option that is wrong.
        JobFileError: lists every mistake of a job file, with its line.

    Example:
        >>> job = enricher.Job.from_options("companies.csv", grid=GRID, limit=5)
        >>> enricher.run(job).runs.submitted <= 5
        True
    """

    @classmethod
    def from_options(cls, source: PathText, **options: Unpack[Options]) -> "Job":
        """The job that `run` would do with the same arguments; a `.toml` is a job file.

        Raises:
            UsageError: lists every mistake.
            JobFileError: lists every mistake of the job file, with its line.
        """
        order = api.order_of(os.fspath(source), plain(options))
        return cls.model_validate(dict(order.job))

    @classmethod
    def from_toml(cls, path: PathText, **options: Unpack[Options]) -> "Job":
        """The job of a job file, whatever its extension; `options` come before it.

        Raises:
            UsageError: lists every mistake in `options`.
            JobFileError: lists every mistake of the file, with its line.
        """
        order = api.order_by_file(Path(path), plain(options))
        return cls.model_validate(dict(order.job))

    def but(self, **options: Unpack[Options]) -> "Job":
        """This job with other options; where it writes stays unless told.

        Raises:
            UsageError: lists every mistake.
        """
        return type(self).model_validate(dict(api.changed(self, plain(options), os.environ)))


def job_of(source: "api.Job | PathText", options: Options) -> api.Job:
    """What `run` and the rest take as a job.

    Raises:
        UsageError, JobFileError: see `Job`.
    """
    if not isinstance(source, api.Job):
        return api.order_of(os.fspath(source), plain(options)).job
    given = plain(options)
    return api.changed(source, given, os.environ) if given else source
