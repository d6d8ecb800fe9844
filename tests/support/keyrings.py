"""System keyrings for tests, named to the program by PYTHON_KEYRING_BACKEND."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class FileKeyring(KeyringBackend):
    """Keeps its secrets in the file that TEST_KEYRING names."""

    priority = 1

    def _all(self) -> dict[str, str]:
        path = Path(os.environ["TEST_KEYRING"])
        secrets: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return secrets

    def _keep(self, secrets: dict[str, str]) -> None:
        Path(os.environ["TEST_KEYRING"]).write_text(json.dumps(secrets))

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._keep({**self._all(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        secrets = self._all()
        del secrets[f"{service} {username}"]
        self._keep(secrets)


class LockedKeyring(FileKeyring):
    """Its owner does not unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the collection\x1b[2J is locked")
