"""Enrich the rows of a table through a provider's API: resumable, and nothing is paid twice."""
