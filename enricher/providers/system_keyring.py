"""The system keyring (macOS Keychain, Secret Service, Windows …), where there is one.

The only user of the library `keyring`, which is an extra and imported only here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from enricher.errors import KeyProblem
from enricher.harmless import printable

KEYRING = "the system keyring"
_SERVICE = "enricher"


def stored_key(name: str) -> str:
    """What the keyring holds under `name`; empty if nothing.

    Raises:
        KeyProblem: there is no keyring, or it does not answer.
    """
    with _opened() as keyring:
        return keyring.get_password(_SERVICE, name) or ""


def store_key(name: str, key: str) -> str:
    """Keep `key` under `name`; returns what the keyring calls itself.

    Raises:
        KeyProblem: as `stored_key`.
    """
    with _opened() as keyring:
        keyring.set_password(_SERVICE, name, key)
        return str(keyring.get_keyring().name)


def forget_key(name: str) -> bool:
    """Take what is kept under `name` out of the keyring; whether there was anything.

    Raises:
        KeyProblem: as `stored_key`.
    """
    with _opened() as keyring:
        there = keyring.get_password(_SERVICE, name) is not None
        if there:
            keyring.delete_password(_SERVICE, name)
        return there


@contextmanager
def _opened() -> Iterator[ModuleType]:
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError:
        raise KeyProblem(
            "The extra `keyring` is not installed.",
            mend="Install it: pip install 'enricher[keyring]'. Or keep the key in a private file,"
            " and name that with --api-key-file.",
            code="keyring_missing",
        ) from None
    try:
        yield keyring
    except NoKeyringError:
        raise KeyProblem(
            "This machine has no keyring.",
            mend="Keep the key in a private file, and name that with --api-key-file.",
            code="keyring_missing",
        ) from None
    # A keyring is a program of its own: it may be locked, gone, or half installed.
    except (KeyringError, ImportError, OSError, RuntimeError) as error:
        raise KeyProblem(
            f"The keyring does not answer: {printable(str(error) or type(error).__name__)}.",
            mend="Unlock it, or keep the key in a private file and name that with --api-key-file.",
            code="keyring_failed",
        ) from None
