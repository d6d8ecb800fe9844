"""A live page on loopback: it serves what it is given, and knows nothing of jobs."""

from enricher.web.app import Assets
from enricher.web.server import serve
from enricher.web.shown import Shown

__all__ = ["Assets", "Shown", "serve"]
