"""The desks of the acceptance tests."""

from tests.acceptance.conftest import desk, module_desk, new_desk, stop_signals_are_heard

__all__ = ["desk", "module_desk", "new_desk", "stop_signals_are_heard"]
