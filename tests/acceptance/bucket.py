"""An S3 on loopback, and a bucket in it that a desk's environment leads to."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.desk import Desk
from tests.support.object_store import SECRET, emptied, served

obstore = pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served() as address:
        yield address


class Bucket:
    """A bucket, and a desk whose environment leads to it."""

    def __init__(self, desk: Desk, endpoint: str) -> None:
        self.desk = desk
        desk.secrets.append(SECRET)
        state = str(desk.folder / "state")
        self.env = {**emptied(endpoint, "crm"), "XDG_STATE_HOME": state}
        self._store = obstore.store.S3Store(
            "crm",
            endpoint=endpoint,
            access_key_id="id",
            secret_access_key=SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def put(self, key: str, content: bytes) -> None:
        obstore.put(self._store, key, content)

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self._store, key).bytes())

    def rows(self, key: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.get(key).decode(), newline=""), strict=True))

    def keys(self) -> list[str]:
        return sorted(one["path"] for page in obstore.list(self._store) for one in page)

    def do(self, *words: object, **how: Any) -> Any:
        return self.desk.do(*words, env=self.env, **how)
