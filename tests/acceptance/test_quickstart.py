"""docs/quickstart.md as it stands: its commands, typed one after the other into a shell.

Left out are the install (step 1), the simulator of step 2 (the desk has one), and step 6, which is
step 4 with an account of one's own.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.desk import ROOT, Desk, cells

PAGE = ROOT / "docs/quickstart.md"


def blocks(step: int) -> list[str]:
    """The console blocks of a step."""
    text = PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {step}\..*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def typed(desk: Desk, block: str) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).parent
    return subprocess.run(
        ["/bin/sh", "-ec", block],
        cwd=desk.folder,
        env={**desk.env, "PATH": f"{program}:{desk.env['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_quick_start_does_what_it_says(desk: Desk) -> None:
    simulator, workspace = blocks(2)
    assert simulator.split()[:2] == ["enricher", "simulate"]
    here = re.sub(r"^export .*\n", "", workspace, flags=re.MULTILINE)
    assert "Company Enrichment" in typed(desk, here).stdout

    first, second = blocks(3)
    refused = typed(desk, first)
    assert (refused.returncode, "did you mean 'Company'?" in refused.stderr) == (1, True)
    assert "New runs:  3" in typed(desk, second).stdout
    assert not desk.bought

    run, afterwards = blocks(4)
    assert typed(desk, run).returncode == 0
    output = cells(desk.folder / "leads.enriched.csv")
    assert output.column("enrichment_status") == ["completed"] * 3
    assert typed(desk, run).returncode == 0
    assert len(desk.bought) == 3
    with (desk.folder / "leads.csv").open("a", encoding="utf-8") as list_:
        list_.write("Umbrella,umbrella.com,Di\n")
    typed(desk, run)
    assert len(desk.bought) == 4
    assert typed(desk, afterwards).returncode == 0
    assert (desk.folder / "so-far.csv").is_file()

    (init,) = blocks(5)
    assert typed(desk, init).returncode == 0
    assert (desk.folder / "leads.job.toml").is_file()
