"""An S3 on loopback, as long as a test module needs it."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

moto = pytest.importorskip("moto.server")

SECRET = "s3-canary-0815"


@contextmanager
def served() -> Iterator[str]:
    """The address of an empty store."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    try:
        server.start()
    except OSError as error:
        pytest.skip(f"no S3 can be served here: {error}")
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def emptied(endpoint: str, bucket: str) -> dict[str, str]:
    """Forget all objects, and make an empty bucket; the environment that leads to it."""
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"")
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{bucket}", method="PUT"))
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
