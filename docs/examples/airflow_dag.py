"""A job in shards as mapped tasks of Airflow: plan, a task a shard, merge.

What a shard has paid stands in its checkpoint: a task that is retried goes on. The workers share
DATA; those on several machines keep one limit through Redis.
"""

from datetime import datetime, timedelta

from airflow.decorators import dag, task

SHARDS = 16
DATA = "/data/leads"
LIMITER = "redis://limits:6379/0"


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False)
def enrich():
    @task.bash
    def plan() -> str:
        return (
            f"enricher plan {DATA}/leads.csv --grid $GRID_ID"
            f" --shards {SHARDS} -o {DATA}/manifest.json --overwrite"
        )

    # 4 says that the same command later is enough: a retry of the task is just that. 3 is finished:
    # some rows failed or are in doubt, which the merge tells.
    @task.bash(retries=5, retry_delay=timedelta(minutes=5), max_active_tis_per_dagrun=4)
    def shard(index: int) -> str:
        return (
            f"enricher run --manifest {DATA}/manifest.json --shard {index}"
            f" --limiter {LIMITER} --no-progress || test $? -eq 3"
        )

    @task.bash
    def merge() -> str:
        return f"enricher merge {DATA}/manifest.json -o {DATA}/out.csv || test $? -eq 3"

    plan() >> shard.expand(index=list(range(SHARDS))) >> merge()


enrich()
