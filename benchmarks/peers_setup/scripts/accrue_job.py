"""A row is a FunctionStep; concurrency, cache and checkpoint are accrue's own.

Follows accrue's docs: guides/function-steps.md ("Basic usage"), guides/configuration.md
("Concurrency tuning": set max_workers by the provider's rate limit) and guides/caching.md ("Using
both together"; repeat the run to resume it). accrue retries for its LLM steps only, so that the
function itself waits after a 429.
"""

import asyncio
import csv
import json
import os
from pathlib import Path

import httpx2
from accrue import EnrichmentConfig, FunctionStep, Pipeline

BASE_URL, GRID_ID = os.environ["BASE_URL"], os.environ["GRID_ID"]
HEADERS = {"X-API-KEY": os.environ["API_KEY"]}
RATE, POLL = float(os.environ["RATE"]), float(os.environ["POLL_SECONDS"])
LOOKS = int(os.environ["LOOKS"])


async def call(method, url, **what):
    async with httpx2.AsyncClient(headers=HEADERS, timeout=30) as client:
        while True:
            answer = await client.request(method, url, **what)
            if answer.status_code != 429:
                answer.raise_for_status()
                return answer.json()
            await asyncio.sleep(float(answer.headers["retry-after"]))


async def enrich(ctx):
    inputs = {name: ctx.row[name] for name in ("company_name", "website")}
    body = {"mode": "async", "inputs": inputs}
    run = await call("POST", f"{BASE_URL}/grids/{GRID_ID}/run", json=body)
    while True:
        await asyncio.sleep(POLL)
        answer = await call("GET", f"{BASE_URL}/run/status/{run['request_id']}")
        if answer["status"] != "running":
            return {"answer": answer}


def main():
    with Path("leads.csv").open(encoding="utf-8", newline="") as file:
        leads = [
            {"company_name": name, "website": site} for name, site in list(csv.reader(file))[1:]
        ]
    config = EnrichmentConfig(
        # Its default, or what keeps a higher rate busy: a row sends 1 + LOOKS requests in LOOKS
        # polls. Measured at 5/s: 5 and 6 workers are slower (123 and 83 s; 10 took 67 s).
        max_workers=max(10, int(RATE * LOOKS * POLL / (1 + LOOKS))),
        enable_caching=True,
        cache_dir="cache",
        enable_checkpointing=True,
        checkpoint_dir="checkpoints",
        checkpoint_interval=10,
        enable_progress_bar=False,
    )
    pipeline = Pipeline([FunctionStep("bitscale", fn=enrich, fields=["answer"])])
    result = pipeline.run(leads, config=config)
    with Path("out.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in result.data)


if __name__ == "__main__":
    main()
