"""A stand-in of Scale GP Workflows, from their document."""

from enricher.simulator.scale.rules import Endpoint, WorkflowService, own_workflows
from enricher.simulator.scale.sessions import Session, SessionFate, session_fate
from enricher.simulator.scale.settings import PREFIX, Settings, Unready
from enricher.simulator.scale.workflows import (
    COMPANY_PROFILE,
    LONG_LIST,
    PEOPLE_FINDER,
    WORKFLOWS,
    Workflow,
)

__all__ = [
    "COMPANY_PROFILE",
    "LONG_LIST",
    "PEOPLE_FINDER",
    "PREFIX",
    "WORKFLOWS",
    "Endpoint",
    "Session",
    "SessionFate",
    "Settings",
    "Unready",
    "Workflow",
    "WorkflowService",
    "own_workflows",
    "session_fate",
]
