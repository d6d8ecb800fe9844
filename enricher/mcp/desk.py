"""What all tools share: the workspace's session, the roots, and the plans that were shown."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enricher import api
from enricher.api.sessions import Session
from enricher.errors import CannotGoOn, UsageError
from enricher.mcp.roots import Roots

FREE_RUNS = 100
"""New runs that a batch may have without the token of its plan."""

_MOST_TOKENS = 1000


@dataclass(slots=True)
class Tokens:
    """Plans that were shown to the agent: which job, and how many new runs it would make."""

    _shown: OrderedDict[str, tuple[str, int]] = field(default_factory=OrderedDict)

    def of(self, job: api.Job, new_runs: int) -> str:
        """A token for this very job."""
        token = secrets.token_urlsafe(12)
        self._shown[token] = (_fingerprint(job), new_runs)
        while len(self._shown) > _MOST_TOKENS:
            self._shown.popitem(last=False)
        return token

    def check(self, token: str | None, job: api.Job, new_runs: int) -> None:
        """Raise `UsageError` unless this job, with no more new runs, was planned."""
        if new_runs <= FREE_RUNS:
            return
        planned = self._shown.get(token or "")
        if planned is None or planned[0] != _fingerprint(job) or planned[1] < new_runs:
            raise UsageError(
                f"This batch would make {new_runs:,} new paid runs"
                + (", and its token is of another plan." if token else "."),
                mend="Call plan_batch with the same parameters, show its figures to the person who"
                " pays, and give its `token` to start_batch.",
                code="token_needed",
            )


def _fingerprint(job: api.Job) -> str:
    """What the job asks, and of what; the caps are no part: they can only make it smaller."""
    caps = {"max_runs", "max_credits", "stop_after"}
    return f"{job.id} {job.model_dump_json(exclude=caps)}"


@dataclass(slots=True)
class Purse:
    """Credits that the workspace has used since the first run of this server."""

    began_at: float | None = None
    highest: float = 0.0
    last: float | None = None

    def check(self, used: float | None, most: float) -> None:
        """Raise `CannotGoOn` if one more run, at the highest cost seen, may exceed `most`."""
        if used is None:
            raise UsageError("max_credits needs a workspace that tells its credits.")
        if self.began_at is None or used < self.began_at:  # less: a new billing period
            self.began_at = used
        if self.last is not None and used > self.last:
            self.highest = max(self.highest, used - self.last)
        self.last = used
        spent = used - self.began_at
        if spent + self.highest > most:
            raise CannotGoOn(
                f"The workspace used {spent:g} credits since this server's first run, and a run"
                f" cost up to {self.highest:g}: max_credits is {most:g}. Nothing was submitted.",
                mend="Ask the person who pays, and give a higher max_credits.",
                code="max_credits",
            )


@dataclass(frozen=True, slots=True)
class Desk:
    """What the tools work with; one a server process."""

    session: Session
    roots: Roots
    tokens: Tokens = field(default_factory=Tokens)
    purse: Purse = field(default_factory=Purse)

    @property
    def options(self) -> dict[str, Any]:
        """What every batch is given from the start of the server."""
        access = self.session.access
        return {"base_url": access.base_url, "api_key_file": access.key_file}

    def checkpoint_of(self, batch_id: str) -> tuple[Path, str]:
        """The checkpoint and the job that `batch_id` names; all that it reads is below the roots.

        Raises:
            CannotGoOn: there is no such batch, or it reads a file outside.
        """
        name, _, job_id = batch_id.rpartition("#")
        checkpoint = self.roots.path(name or batch_id)
        if not name or not job_id or not checkpoint.is_file():
            raise CannotGoOn(
                f"There is no batch {batch_id!r}.",
                mend="Give the `batch_id` that start_batch returned, unchanged.",
                code="no_such_batch",
            )
        self.roots.path(str(api.stored_job(checkpoint, job_id).source))
        return checkpoint, job_id
