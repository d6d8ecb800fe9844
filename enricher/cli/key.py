"""`enricher key`: the key of a machine, kept in its keyring."""

import sys
from typing import Any

import click

from enricher.cli.asking import ASKING, access
from enricher.cli.groups import WHAT, GroupedCommand, option
from enricher.cli.telling import say, tell, warn
from enricher.errors import UsageError

BITSCALE = "bitscale"

OWNED = option(
    "--provider",
    default=BITSCALE,
    metavar="NAME",
    group=WHAT,
    help="Whose key it is: bitscale, 8bitedge, scale or an installed plugin. Default: bitscale.",
)

LARGEST_KEY = 1 << 16
"""Characters that are read; more is no key."""


@click.group("key", short_help="Keep the API key in the system keyring, or try it.")
def command() -> None:
    """Keep the API key in the system keyring, try it, or take it out again.

    A key is looked for in --api-key-file; without that in the environment, among the credentials
    of systemd, then in the keyring. The keyring needs the extra `keyring`. It may hold a key for
    each provider; only that of BitScale can be tried, for the others have nothing free to ask.

    \b
    enricher key set
    enricher key test
    enricher key set --provider scale
    """


@command.command(
    "set",
    cls=GroupedCommand,
    short_help="Keep a key in the keyring, from a prompt or standard input.",
)
@click.argument("words", nargs=-1, metavar="", type=click.UNPROCESSED)
@OWNED
def set_key(words: tuple[str, ...], provider: str) -> int:
    """Keep a key in the system keyring. It is read from a prompt, or from standard input.

    \b
    enricher key set
    enricher key set < key.txt
    enricher key set --provider 8bitedge
    """
    if words:
        raise UsageError(  # without the words: one of them is a key
            "A key is never taken from the command line, where others can read it.",
            mend="Rotate it, since it stands in your shell's history now. Then: enricher key set",
            code="key_on_command_line",
        )
    if sys.stdin.isatty():
        text, origin = click.prompt("API key", hide_input=True, err=True), "what was typed"
    else:
        text, origin = sys.stdin.read(LARGEST_KEY), "standard input"
    from enricher.api import keys  # not before the prompt: polars puts itself before its Ctrl-C

    kept = f"Kept in {keys.keep_key(text, origin, provider)}"
    is_bitscale = provider == BITSCALE
    say(f"{kept}. Try it: enricher key test" if is_bitscale else f"{kept}, for {provider}.")
    return 0


@command.command("test", cls=GroupedCommand, short_help="Ask whose key it is that a run would use.")
@ASKING
def test_key(**given: Any) -> int:
    """Ask BitScale whose key it is that a run would use, and where it was found. The key is not
    shown. The other providers have nothing that is free to ask: a wrong key is found by the first
    request of a run, which costs nothing then.

    \b
    enricher key test
    enricher key test --api-key-file ~/bitscale.key
    """
    from enricher.api import keys

    owner = keys.owner_of_key(access(given))
    tell(
        f"The key in {owner.origin} is of the workspace {owner.workspace!r} ({owner.workspace_id})."
    )
    if owner.credits:
        tell(f"It has {owner.credits.remaining:,g} credits left.")
    return 0


@command.command("forget", cls=GroupedCommand, short_help="Take the key out of the keyring.")
@OWNED
def forget(provider: str) -> int:
    """Take the key out of the system keyring. The key stays valid; to void it, have a
    new one made: enricher rotate-key.

    \b
    enricher key forget
    """
    from enricher.api import keys

    if keys.forget_key(provider):
        say("The key is out of the keyring.")
    else:
        warn("The keyring held no key.")
    return 0
