"""Providers that others install: the example of the docs, and plugins that are spoilt."""

import re
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.desk import ROOT, Desk, cells
from tests.acceptance.vendor import Vendor
from tests.support.canary import KEY

PAGE = (ROOT / "docs/write-a-provider.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
SPOILT = """\
import enricher_nowhere
"""
ROWS = ["Company", "Acme", "Bolt", "Bad"]


def install(folder: Path, distribution: str, points: Mapping[str, str], **modules: str) -> None:
    """A distribution as pip leaves it."""
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    listed = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[enricher.providers]\n{listed}")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def installed(desk: Desk) -> dict[str, str]:
    """The example and a spoilt one; the environment in which they are found."""
    site = desk.folder / "site"
    (point,) = re.findall(r"^acme = \"(.*)\"$", PAGE, re.MULTILINE)
    install(site, "enricher-acme", {"acme": point}, enricher_acme=EXAMPLE)
    install(site, "enricher-sad", {"sad": "enricher_sad:VENDOR"}, enricher_sad=SPOILT)
    return {"PYTHONPATH": f"{ROOT}:{site}", "ACME_API_KEY": KEY}


def test_the_example_of_the_docs_enriches_a_list(desk: Desk, vendor: Vendor) -> None:
    env = {**installed(desk), "ACME_BASE_URL": f"{vendor.base}/api"}
    desk.write("leads.csv", ROWS)
    words = ("leads.csv", "--provider", "acme", "--workflow", "companies", "-m", "name=Company")
    told = desk.do("run", *words, "--json", env=env, exits=3).json
    assert (told["provider"], told["target"]) == ("acme", "companies")
    enriched = cells(desk.folder / "leads.enriched.csv")
    assert enriched.header[1:3] == ["People", "Tags"]
    assert enriched.column("People") == ["4", "4", ""]
    assert enriched.column("enrichment_error")[2] == "HTTP_422: Acme knows no such company"
    assert vendor.asked[1][1] == {"list": "companies", "name": "Acme"}

    again = desk.do("run", *words, "--json", env=env, exits=3).json
    assert again["runs"]["submitted"] == 0
    checkpoint = desk.folder / "leads.enriched.csv.checkpoint.db"
    assert desk.do("status", checkpoint, "--json", env={"PYTHONPATH": str(ROOT)}).json["rows"]
    gone = desk.do("resume", checkpoint, env={"PYTHONPATH": str(ROOT)}, exits=1).err
    assert "There is no provider 'acme'" in gone


def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_go_on(desk: Desk) -> None:
    env = installed(desk)
    said = desk.do("providers", env=env)
    assert re.search(r"acme +enricher-acme 1.0 +--workflow +ACME_API_KEY +ACME_BASE_URL", said.out)
    assert re.search(r"http +enricher +job file", said.out)
    trouble = "ModuleNotFoundError: No module named 'enricher_nowhere'"
    assert f"the provider sad of enricher-sad 1.0 cannot be used: {trouble}" in said.err
    listed = {p["name"]: p for p in desk.do("providers", "--json", env=env).json["providers"]}
    assert list(listed) == ["bitscale", "8bitedge", "scale", "http", "acme", "sad"]
    assert (listed["sad"]["trouble"], listed["acme"]["trouble"]) == (trouble, "")

    desk.write("leads.csv", ROWS)
    asked = desk.do("run", "leads.csv", "--provider", "sad", "--json", env=env, exits=1).json
    assert asked["error"]["code"] == "provider_broken"
    assert trouble in asked["error"]["message"]
    asked = desk.do("run", "leads.csv", "--provider", "acmee", "--json", env=env, exits=1).json
    assert asked["error"]["code"] == "unknown_provider"
    assert "Installed: bitscale, 8bitedge, scale, http, acme." in asked["error"]["message"]
    assert f"'sad' of enricher-sad 1.0 cannot be used: {trouble}." in asked["error"]["message"]


def test_plugins_and_tables_are_not_imported_before_they_are_needed(desk: Desk) -> None:
    env = installed(desk)
    mark = desk.folder / "imported"
    loud = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    install(desk.folder / "site", "enricher-loud", {"loud": "loud:X"}, loud=loud)
    desk.write("leads.csv", ROWS)
    desk.do("run", "--help", env=env)
    without_key = {**env, "ACME_API_KEY": ""}
    words = ("leads.csv", "--provider", "acme", "--workflow", "x", "--json")
    refused = desk.do("plan", *words, env=without_key, exits=1).json
    assert refused["error"]["code"] == "key_missing"
    assert not mark.exists()
    listing = desk.do("providers", env={**env, "PYTHONPROFILEIMPORTTIME": "1"}).err
    assert mark.exists()
    assert re.search(r"\| +httpx2$", listing, re.MULTILINE)
    assert not re.search(r"\| +(polars|pydantic|starlette|sqlite3)$", listing, re.MULTILINE)
