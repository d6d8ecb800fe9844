"""An S3 on loopback, and a bucket in it that a desk's environment leads to."""

import csv
import io
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.desk import Desk

obstore = pytest.importorskip("obstore")
moto = pytest.importorskip("moto.server")

SECRET = "s3-canary-0815"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    try:
        server.start()
    except OSError as error:
        pytest.skip(f"no S3 can be served here: {error}")
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Bucket:
    """A bucket, and a desk whose environment leads to it."""

    def __init__(self, desk: Desk, endpoint: str) -> None:
        self.desk = desk
        desk.secrets.append(SECRET)
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "XDG_STATE_HOME": str(desk.folder / "state"),
        }
        urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"")
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/crm", method="PUT"))
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
