"""Object stores of Google and Azure: what is put there is found there, and messages say why not.

S3 has a stand-in of its own (`acceptance/test_object_stores.py`); these two are served by a few
lines here, which know the requests and not the rules of the real ones.
"""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from enricher import objects
from enricher.api.stored_state import StoredState
from enricher.errors import CheckpointError, InputError, OutputError
from enricher.places import StoredObject

pytest.importorskip("obstore")


class Shelf(BaseHTTPRequestHandler):
    """Keeps objects by their path; Azure removes them in batches."""

    protocol_version = "HTTP/1.1"
    held: ClassVar[dict[str, bytes]] = {}
    forgets: ClassVar[bool] = False
    """Whether it takes no notice of conditions."""

    def do_GET(self) -> None:
        found = self.held.get(self.path.partition("?")[0])
        self._answer(404 if found is None else 200, found or b"")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if self.forgets:
            self.held[path] = body
            self._answer(201)
        elif path in self.held and self.headers.get("If-None-Match") == "*":
            self._answer(409)
        elif path in self.held and self.headers.get("x-goog-if-generation-match") == "0":
            self._answer(412)
        else:
            self.held[path] = body
            self._answer(201)

    def do_DELETE(self) -> None:
        self.held.pop(self.path.partition("?")[0], None)
        self._answer(204)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for path in re.findall(r"DELETE (\S+)", asked):
            self.held.pop(path.partition("?")[0], None)
        part = "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n"
        body = f"{part}HTTP/1.1 202 Accepted\r\n\r\n\r\n--b--\r\n"
        self._answer(202, body.encode(), "multipart/mixed; boundary=b")

    def _answer(self, code: int, body: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(code)
        if code != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind)
        self.send_header("ETag", f'"{hash(body)}"')
        self.send_header("Last-Modified", "Wed, 25 Nov 2026 07:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    Shelf.held.clear()
    Shelf.forgets = False
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        account = {"gcs_base_url": url, "disable_oauth": True, "client_email": ""}
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**account, "private_key": "", "private_key_id": ""}))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(file))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", url)
        yield Shelf.held
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_what_is_uploaded_is_there_and_can_be_removed(shelf, scheme, tmp_path) -> None:
    place = StoredObject(f"{scheme}://bucket/a b/leads.csv")
    objects.check_uploadable(place)
    assert shelf == {}, "nothing stays of looking whether it may be written"
    assert not objects.exists(place)
    (tmp_path / "leads.csv").write_bytes(b"a,b\n" * 999)
    objects.upload(place, tmp_path / "leads.csv")
    assert objects.exists(place)
    with objects.downloaded(place) as found:
        assert b"".join(found.blocks) == b"a,b\n" * 999
        assert found.size == 3996
    objects.remove(place)
    assert shelf == {}


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_of_several_who_make_an_object_one_does(shelf, scheme) -> None:
    folder = objects.Folder(StoredObject(f"{scheme}://bucket/job"))
    assert folder.create("1.log", b"mine")
    assert not folder.create("1.log", b"theirs")
    assert folder.create("1.log", b"mine"), "an answer that was lost is no other one"
    assert folder.read("1.log") == b"mine"
    assert folder.read("2.log") is None


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_a_store_that_replaces_what_is_made_once_is_refused(shelf, scheme, tmp_path) -> None:
    state = StoredState(StoredObject(f"{scheme}://bucket/job"))
    state.open(tmp_path / "manifest.json")
    Shelf.forgets = True
    with pytest.raises(CheckpointError, match="lets two writers make the same object"):
        state.open(tmp_path / "manifest.json")
    assert shelf == {}, "nothing stays of looking"


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_what_is_not_there_is_told(shelf, scheme) -> None:
    place = StoredObject(f"{scheme}://bucket/leads.csv")
    with pytest.raises(InputError, match="there is no such object"), objects.downloaded(place):
        pass


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_no_credentials_are_told_with_the_variables(scheme, tmp_path, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_NAME", "GOOGLE_SERVICE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "half")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    place = StoredObject(f"{scheme}://bucket/leads.csv")
    with pytest.raises(OutputError) as caught:
        objects.check_uploadable(place)
    assert caught.value.message.startswith(f"{place} cannot be written: ")
    assert {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}[scheme] in caught.value.mend
