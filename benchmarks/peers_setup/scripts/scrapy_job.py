"""A spider whose requests are the submissions, and then the looks.

Follows Scrapy's docs: settings (DOWNLOAD_DELAY, its jitter, RETRY_TIMES), scheduler ("Crawling in a
custom order": submissions go first, so that runs have ended when they are looked at, and looks
wait on disk), jobs ("How to use it": the same command resumes; its "Pause limitations" say that
only a clean stop can be resumed) and feed exports (jsonlines, appended to). AutoThrottle
follows the latency and never goes below DOWNLOAD_DELAY; against a fast API it changes nothing.
"""

import asyncio
import csv
import os
from pathlib import Path

import scrapy
from scrapy.http import JsonRequest

BASE_URL, GRID_ID = os.environ["BASE_URL"], os.environ["GRID_ID"]
HEADERS = {"X-API-KEY": os.environ["API_KEY"]}
RATE, POLL = float(os.environ["RATE"]), float(os.environ["POLL_SECONDS"])

with Path("leads.csv").open(encoding="utf-8", newline="") as leads:
    LEADS = list(csv.reader(leads))[1:]


class LeadsSpider(scrapy.Spider):
    name = "leads"
    custom_settings = {  # noqa: RUF012 — as Scrapy's docs write it
        "DOWNLOAD_DELAY": 1 / RATE,
        "DOWNLOAD_DELAY_JITTER": 0,
        "RETRY_TIMES": 10,
        "JOBDIR": "job",
        "FEEDS": {"out.jsonl": {"format": "jsonlines", "overwrite": False}},
        "TELNETCONSOLE_ENABLED": False,
    }

    async def start(self):
        for name, site in LEADS:
            lead = {"company_name": name, "website": site}
            yield JsonRequest(
                f"{BASE_URL}/grids/{GRID_ID}/run",
                data={"mode": "async", "inputs": lead},
                headers=HEADERS,
                callback=self.submitted,
                cb_kwargs={"lead": lead},
            )

    def submitted(self, response, lead):
        yield self.look(f"{BASE_URL}/run/status/{response.json()['request_id']}", lead)

    def look(self, url, lead):
        return scrapy.Request(
            url,
            headers=HEADERS,
            callback=self.looked,
            cb_kwargs={"lead": lead},
            priority=-100,
            dont_filter=True,
        )

    async def looked(self, response, lead):
        answer = response.json()
        if answer["status"] == "running":
            await asyncio.sleep(POLL)
            yield self.look(response.url, lead)
        else:
            yield {**lead, "answer": answer}
