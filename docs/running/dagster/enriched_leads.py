"""Dagster: the enriched list as an asset, made anew every night."""

import json
import subprocess
from pathlib import Path

import dagster as dg

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


@dg.asset
def enriched_leads(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    code = subprocess.run(ENRICH, cwd=FOLDER, check=False).returncode
    if code in A_PERSON_MUST_ACT:
        raise dg.Failure(f"enricher ended with code {code}: a person must act", allow_retries=False)
    if code not in (0, 3):  # 4, a signal, a crash: the same command goes on
        raise dg.RetryRequested(max_retries=8, seconds_to_wait=900)
    rows: dict[str, int] = json.loads((FOLDER / "leads.summary.json").read_text())["rows"]
    if code == 3:
        context.log.warning(f"{rows['failed']} rows failed, {rows['in_doubt']} are in doubt")
    return dg.MaterializeResult(metadata=rows)


nightly = dg.ScheduleDefinition(
    name="nightly",
    target=dg.AssetSelection.assets(enriched_leads),
    cron_schedule="15 2 * * *",
)
defs = dg.Definitions(assets=[enriched_leads], schedules=[nightly])
