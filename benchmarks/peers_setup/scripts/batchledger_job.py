"""Two passes over the ledger: all rows are submitted, then all runs are collected.

Follows batchledger's README: "Start in four lines" for each pass, "Stable keys" for two namespaces
in one database; repeat the script to resume it. It has no pace of its own, so that the script
waits between requests.
"""

import csv
import json
import os
import time
from pathlib import Path

import httpx2
from batchledger import Ledger

BASE_URL, GRID_ID = os.environ["BASE_URL"], os.environ["GRID_ID"]
RATE, POLL = float(os.environ["RATE"]), float(os.environ["POLL_SECONDS"])

client = httpx2.Client(headers={"X-API-KEY": os.environ["API_KEY"]}, timeout=30)


def call(method, url, **what):
    while True:
        time.sleep(1 / RATE)
        answer = client.request(method, url, **what)
        if answer.status_code != 429:
            answer.raise_for_status()
            return answer.json()
        time.sleep(float(answer.headers["retry-after"]))


def submit(lead):
    body = {"mode": "async", "inputs": lead}
    return {**lead, "run": call("POST", f"{BASE_URL}/grids/{GRID_ID}/run", json=body)["request_id"]}


def collect(submitted):
    while True:
        answer = call("GET", f"{BASE_URL}/run/status/{submitted['run']}")
        if answer["status"] != "running":
            return {**submitted, "answer": answer}
        time.sleep(POLL)


def main():
    with Path("leads.csv").open(encoding="utf-8", newline="") as file:
        leads = [
            {"company_name": name, "website": site} for name, site in list(csv.reader(file))[1:]
        ]
    with Ledger("ledger.sqlite", namespace="submit", version="1") as ledger:
        submitted = list(ledger.map(submit, leads))
    with (
        Ledger("ledger.sqlite", namespace="collect", version="1") as ledger,
        Path("out.jsonl").open("w", encoding="utf-8") as file,
    ):
        file.writelines(json.dumps(row) + "\n" for row in ledger.map(collect, submitted))


if __name__ == "__main__":
    main()
