"""Prefect 3: enrich a list every night. `python enrich_leads.py` serves the flow."""

import json
import subprocess
from pathlib import Path

from prefect import flow, get_run_logger, task

# A local disk: the checkpoint must be there the next time, and never on a network share.
FOLDER = Path("/srv/leads")
ENRICH = [
    "enricher",
    "run",
    "leads.job.toml",
    "--yes",
    "--no-progress",
    "--api-key-file",
    "/etc/enricher/bitscale.key",
    "--summary-file",
    "leads.summary.json",
]
A_PERSON_MUST_ACT = (1, 2, 5)


class GoesOnLater(Exception):
    """Stopped with everything saved: the same command goes on."""


def goes_on_later(_task, _run, state) -> bool:
    return isinstance(state.result(raise_on_failure=False), GoesOnLater)


@task(retries=8, retry_delay_seconds=900, retry_condition_fn=goes_on_later)
def enrich() -> dict[str, int]:
    code = subprocess.run(ENRICH, cwd=FOLDER, check=False).returncode
    if code in A_PERSON_MUST_ACT:
        raise RuntimeError(f"enricher ended with code {code}: a person must act")
    if code not in (0, 3):  # 4, a signal, a crash
        raise GoesOnLater(f"enricher ended with code {code}")
    rows: dict[str, int] = json.loads((FOLDER / "leads.summary.json").read_text())["rows"]
    if code == 3:
        get_run_logger().warning(
            "%s rows failed, %s are in doubt", rows["failed"], rows["in_doubt"]
        )
    return rows


@flow(name="enrich-leads")
def enrich_leads() -> dict[str, int]:
    return enrich()


if __name__ == "__main__":
    enrich_leads.serve(name="nightly", cron="15 2 * * *")
