"""The watch for the API key is awake: whatever a test says or leaves is searched for it."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.canary import KEY, assert_clean, disguises

ROOT = Path(__file__).parent.parent

LEAKS = {
    "raw": KEY,
    "in a URL": f"https://e.example/?key={quote(KEY, safe='')}&x=1",
    "in base64": base64.b64encode(f"user:{KEY}!".encode()).decode(),
    "in base64 for URLs": base64.urlsafe_b64encode(f"..{KEY}".encode()).decode(),
    "in JSON": json.dumps({"key": KEY}),
    "in hexadecimal": KEY.encode().hex(),
}

WAYS = """
import logging, sqlite3, sys, pytest, warnings

LEAK = {leak!r}

def test_standard_output(): print(LEAK)
def test_standard_error(): print(LEAK, file=sys.stderr)
def test_log(caplog): logging.getLogger("x").error("said %s", LEAK)
def test_file(tmp_path): (tmp_path / "out.csv").write_text("a,b\\n1," + LEAK)
def test_hidden_file(tmp_path): (tmp_path / ".x.tmp").write_text("x" * 5000 + LEAK)
def test_log_of_a_checkpoint(tmp_path):
    db = sqlite3.connect(tmp_path / "job.checkpoint.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (x)")
    db.execute("INSERT INTO t VALUES (?)", [LEAK])
    assert LEAK.encode() not in (tmp_path / "job.checkpoint.db").read_bytes()
    (tmp_path / "copy-wal").write_bytes((tmp_path / "job.checkpoint.db-wal").read_bytes())
    db.close()
def test_printed_traceback():
    import traceback
    try: raise ValueError(LEAK)
    except ValueError: traceback.print_exc()
def test_nothing_of_it(tmp_path): (tmp_path / "out.csv").write_text("clean")
def test_key_file(tmp_path): (tmp_path / "api.key").write_text({key!r} + "\\n")
"""


@pytest.mark.parametrize("form", ["raw", "in base64 for URLs"])
def test_a_key_that_gets_about_fails_the_test_that_let_it(form: str, tmp_path: Path) -> None:
    (tmp_path / "test_ways.py").write_text(WAYS.format(leak=LEAKS[form], key=KEY))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
    ]
    where = [f"--basetemp={tmp_path / 'base'}", f"--rootdir={tmp_path}", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, *where, tmp_path / "test_ways.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    for path in tmp_path.rglob("*"):  # what was planted must not be found in this test
        if path.is_file():
            path.unlink()
    assert "7 failed, 2 passed" in done.stdout, done.stdout.replace(LEAKS[form], "…")
    assert done.stdout.count("an API key stands in") >= 7


@pytest.mark.parametrize("form", LEAKS)
def test_every_form_of_a_key_is_known(form: str) -> None:
    with pytest.raises(AssertionError, match="an API key stands in there"):
        assert_clean("there", f"before {LEAKS[form]} after".encode(), list(disguises(KEY)))
