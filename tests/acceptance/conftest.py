"""Desks: one for each test, and factories for tests that need another or share one."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.acceptance.desk import Desk, desk_in
from tests.acceptance.vendor import Vendor, running_vendor


@pytest.fixture(scope="session", autouse=True)
def stop_signals_are_heard():
    """A background job of a shell ignores SIGINT, and one of nohup SIGHUP; commands inherit it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def desks_of(tmp_path_factory):
    """Makes desks; the settings are those of the simulated workspace."""
    with ExitStack() as held:

        def make(**settings: Any) -> Desk:
            return held.enter_context(desk_in(tmp_path_factory.mktemp("desk"), **settings))

        yield make


new_desk = pytest.fixture(desks_of, name="new_desk")
module_desk = pytest.fixture(desks_of, name="module_desk", scope="module")


@pytest.fixture
def desk(new_desk) -> Desk:
    return new_desk()


@pytest.fixture(scope="module")
def shared_desk(module_desk) -> Desk:
    """One desk for all tests of a module that look at the same files."""
    return module_desk()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    """A data vendor with an API of its own, on loopback."""
    with running_vendor() as server:
        yield server
