"""What holds for every test: nothing is timed, and no API key stands in what it said or left."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from enricher.simulator.settings import DEFAULT_API_KEY
from tests.support.canary import KEY, disguises

# How long an example takes tells of the machine and of what else it does, not of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SECRETS = (KEY, DEFAULT_API_KEY)
FORMS = [form for secret in SECRETS for form in disguises(secret)]

LARGEST = 1 << 26
"""Bytes of a file that is looked into; some tests make files of a terabyte that hold nothing."""


@pytest.fixture(scope="session", autouse=True)
def state_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs that run in a test, or are started by one, leave the limits of the user alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    report = yield
    places = {name: text.encode() for name, text in report.sections}
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.when == "call" and folder is not None:
        places |= left_in(folder)
    found = sorted(place for place, text in places.items() if any(form in text for form in FORMS))
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"an API key stands in: {', '.join(found)}"
    return report


def left_in(folder: Path) -> dict[str, bytes]:
    """The files of a test, except its key files: those that hold a key and nothing else."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    contents = {str(path): path.read_bytes() for path in paths if path.stat().st_size < LARGEST}
    own = {secret.encode() for secret in SECRETS}
    return {path: content for path, content in contents.items() if content.strip() not in own}
