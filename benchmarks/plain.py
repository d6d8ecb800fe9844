"""What one would write without enricher: the yardstick of `benchmarks.engine`.

Rows from `csv.DictReader`, so many runs at once behind a semaphore, each submitted and then looked
at every 2 seconds until it is completed, all written with `csv.writer` at the end. No checkpoint,
no limit, no retries: the first problem ends it, and everything paid so far is lost.
"""

import asyncio
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

LOOK_EVERY = 2.0
"""Seconds."""


async def enrich(
    source: Path, target: Path, server: Mapping[str, str], in_flight: int, limits: httpx2.Limits
) -> int:
    """Enrich the CSV file `source` with the first grid; returns the number of requests.

    Args:
        server: `base_url`, `api_key` and `grid`.
        in_flight: runs at once.
    """
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    places = asyncio.Semaphore(in_flight)
    headers = {"X-API-KEY": server["api_key"]}
    async with httpx2.AsyncClient(
        base_url=server["base_url"], headers=headers, limits=limits, timeout=60
    ) as client:

        async def enriched(row: dict[str, str]) -> tuple[dict[str, Any], int]:
            async with places:
                return await _run(client, server["grid"], row)

        results = await asyncio.gather(*(enriched(row) for row in rows))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = [output["name"] for output in results[0][0].values()]
        writer.writerow([*rows[0], *names])
        for row, (outputs, _) in zip(rows, results, strict=True):
            writer.writerow([*row.values(), *(output["value"] for output in outputs.values())])
    return sum(requests for _, requests in results)


async def _run(
    client: httpx2.AsyncClient, grid: str, row: Mapping[str, str]
) -> tuple[dict[str, Any], int]:
    inputs = {"company_name": row["Company Name"], "website": row["Website"]}
    answer = await client.post(f"/grids/{grid}/run", json={"mode": "async", "inputs": inputs})
    requests = 1
    while (body := answer.raise_for_status().json())["status"] == "running":
        await asyncio.sleep(LOOK_EVERY)
        answer = await client.get(f"/run/status/{body['request_id']}")
        requests += 1
    return body["outputs"], requests
