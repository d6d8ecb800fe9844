"""One function a row, submitting and polling, as in the README's first example.

Follows batchledger's README: "Start in four lines"; repeat the script to resume it. One writer, one
row at a time ("Guarantees and limits"), which needs no pace.
"""

import csv
import json
import os
import time
from pathlib import Path

import httpx2
from batchledger import Ledger

BASE_URL, GRID_ID = os.environ["BASE_URL"], os.environ["GRID_ID"]
POLL = float(os.environ["POLL_SECONDS"])

client = httpx2.Client(headers={"X-API-KEY": os.environ["API_KEY"]}, timeout=30)


def call(method, url, **what):
    while (answer := client.request(method, url, **what)).status_code == 429:
        time.sleep(float(answer.headers["retry-after"]))
    answer.raise_for_status()
    return answer.json()


def enrich(lead):
    body = {"mode": "async", "inputs": lead}
    run = call("POST", f"{BASE_URL}/grids/{GRID_ID}/run", json=body)
    while True:
        time.sleep(POLL)
        answer = call("GET", f"{BASE_URL}/run/status/{run['request_id']}")
        if answer["status"] != "running":
            return {**lead, "answer": answer}


def main():
    with Path("leads.csv").open(encoding="utf-8", newline="") as file:
        leads = [
            {"company_name": name, "website": site} for name, site in list(csv.reader(file))[1:]
        ]
    with (
        Ledger("ledger.sqlite", namespace="enrich", version="1") as ledger,
        Path("out.jsonl").open("w", encoding="utf-8") as file,
    ):
        file.writelines(json.dumps(row) + "\n" for row in ledger.map(enrich, leads))


if __name__ == "__main__":
    main()
