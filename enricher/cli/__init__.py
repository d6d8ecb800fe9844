"""The command line: parse, call `api`, show. Heavy imports wait until a command needs them."""

from enricher.cli.signals import watch

watch.install()  # before anything slow is imported: a stop must find its handler

from enricher.cli.tree import cli, main  # noqa: E402

__all__ = ["cli", "main"]
