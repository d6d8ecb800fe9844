"""What one would write in an hour: asyncio, a limiter, a retry, and a file of results.

No docs to follow: aiolimiter's and tenacity's own first examples, a poll every few seconds, and
rows that are in the file of results already are left out when the script is started again.
"""

import asyncio
import csv
import json
import os
from pathlib import Path

import httpx2
from aiolimiter import AsyncLimiter
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

BASE_URL, GRID_ID = os.environ["BASE_URL"], os.environ["GRID_ID"]
RATE, POLL = float(os.environ["RATE"]), float(os.environ["POLL_SECONDS"])
OUT = Path("out.jsonl")

limiter = AsyncLimiter(RATE, 1)


@retry(
    retry=retry_if_exception_type(httpx2.HTTPError),
    wait=wait_exponential(min=1, max=30),
    stop=stop_after_attempt(10),
    reraise=True,
)
async def call(client, method, url, **what):
    async with limiter:
        answer = await client.request(method, url, **what)
    answer.raise_for_status()
    return answer.json()


async def enrich(client, lead, out):
    body = {"mode": "async", "inputs": lead}
    run = await call(client, "POST", f"{BASE_URL}/grids/{GRID_ID}/run", json=body)
    while True:
        await asyncio.sleep(POLL)
        answer = await call(client, "GET", f"{BASE_URL}/run/status/{run['request_id']}")
        if answer["status"] != "running":
            break
    out.write(json.dumps({**lead, "answer": answer}) + "\n")
    out.flush()


def read_leads():
    with Path("leads.csv").open(encoding="utf-8", newline="") as file:
        leads = [
            {"company_name": name, "website": site} for name, site in list(csv.reader(file))[1:]
        ]
    lines = OUT.read_text(encoding="utf-8").splitlines() if OUT.exists() else []
    done = {(row["company_name"], row["website"]) for row in map(json.loads, lines)}
    return [lead for lead in leads if (lead["company_name"], lead["website"]) not in done]


async def enrich_all(leads, out):
    headers = {"X-API-KEY": os.environ["API_KEY"]}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as client:
        await asyncio.gather(*(enrich(client, lead, out) for lead in leads))


def main():
    leads = read_leads()
    with OUT.open("a", encoding="utf-8") as out:
        asyncio.run(enrich_all(leads, out))


if __name__ == "__main__":
    main()
