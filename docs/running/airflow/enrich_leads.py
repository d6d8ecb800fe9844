"""Airflow 3: enrich a list every night."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# One worker's local disk: the checkpoint must be there the next time, and never on a network share.
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


@dag(
    schedule="15 2 * * *",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
)
def enrich_leads():
    @task(retries=8, retry_delay=timedelta(minutes=15))
    def enrich() -> dict[str, int]:
        code = subprocess.run(ENRICH, cwd=FOLDER, check=False).returncode
        if code in A_PERSON_MUST_ACT:
            raise AirflowFailException(f"enricher ended with code {code}: a person must act")
        if code not in (0, 3):  # 4, a signal, a crash: the same command goes on
            raise AirflowException(f"enricher ended with code {code}: it goes on when tried again")
        rows: dict[str, int] = json.loads((FOLDER / "leads.summary.json").read_text())["rows"]
        if code == 3:
            print(f"{rows['failed']} rows failed, {rows['in_doubt']} are in doubt")
        return rows

    enrich()


enrich_leads()
