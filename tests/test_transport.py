"""One exchange: what came back, and whether the request left. Over a network in memory, where
time is free, and over real sockets, where nothing is pretended."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from enricher.providers.connections import IDLE_CONNECTION
from enricher.providers.transport import DEEPEST_JSON, LARGEST_ANSWER, Answer, Transport
from enricher.simulator import Settings, Workspace
from enricher.verdicts import Malformed, MaybeSent, NotSent
from tests.support import virtual
from tests.support.canary import KEY
from tests.support.network import BASE_URL, Canned, Raw, SimulatedNetwork, Trouble

DEADLINE = 30.0
LOOPBACK = Path(__file__).parent / "support" / "loopback.pem"


def exchanged(*, script=lambda _: None, refuse=False, times=1, connections=10, **request):
    """The last of so many exchanges one after the other, the network, and the seconds it took."""
    network = SimulatedNetwork(Workspace(Settings(rate=None), BASE_URL), script=script)
    network.refuse_connections = refuse

    async def work():
        async with Transport(BASE_URL, connections=connections, network=network) as transport:
            for _ in range(times - 1):
                await exchange(transport, **request)
            began = asyncio.get_running_loop().time()
            result = await exchange(transport, **request)
            return result, network, asyncio.get_running_loop().time() - began

    return virtual.run(work())


async def exchange(transport, method="GET", path="/workspace", deadline=DEADLINE, **more):
    headers = more.pop("headers", {})
    return await transport.exchange(method, path, headers=headers, deadline=deadline, **more)


class Moments(list):
    """The times at which requests left; give `moments.note` as `on_sent`."""

    def note(self):
        self.append(asyncio.get_running_loop().time())


# --- what came back ---------------------------------------------------------------------------


def test_an_answer_is_its_status_its_headers_and_its_body():
    canned = Canned(418, b'{"a": 1}', (("X-RateLimit-Limit", "5"), ("Retry-After", "2")))
    answer, _, _ = exchanged(script=lambda _: canned)
    assert (answer.status, answer.body, answer.json()) == (418, b'{"a": 1}', {"a": 1})
    assert answer.headers["x-ratelimit-limit"] == "5"
    assert answer.headers["retry-after"] == "2"


def test_a_request_arrives_as_it_was_given():
    _, network, _ = exchanged(
        method="POST",
        path="/grids/g-1/run",
        headers={"X-API-KEY": "sk-1"},
        params={"output_columns": "a,b c&d"},
        content=b'{"x": 1}',
    )
    [sent] = network.arrived
    assert (sent.request.method, sent.request.path) == ("POST", "/grids/g-1/run")
    assert sent.request.query == {"output_columns": "a,b c&d"}
    assert sent.request.headers["x-api-key"] == "sk-1"
    assert sent.request.body == b'{"x": 1}'


class CountingNetwork(SimulatedNetwork):
    """Counts the connections that were made."""

    connects = 0

    async def connect_tcp(self, *args, **more):
        self.connects += 1
        return await super().connect_tcp(*args, **more)


def connects_for(work, **more):
    """How many connections the exchanges of `work(transport)` take."""
    network = CountingNetwork(Workspace(Settings(rate=None), BASE_URL), **more)

    async def all_of_it():
        async with Transport(BASE_URL + "/", network=network) as transport:
            await work(transport)

    virtual.run(all_of_it())
    return network.connects


def test_a_connection_is_kept_for_the_next_request():
    async def work(transport):
        for _ in range(5):
            assert isinstance(await exchange(transport), Answer)

    assert connects_for(work) == 1


@pytest.mark.parametrize(("pause", "connects"), [(0.9, 1), (1.1, 2)])
def test_a_connection_is_kept_for_a_few_seconds(pause, connects):
    """Servers close theirs after five or more: a request written then would be in doubt."""

    async def work(transport):
        await exchange(transport)
        await asyncio.sleep(pause * IDLE_CONNECTION)
        await exchange(transport)

    assert connects_for(work) == connects


def test_a_burst_leaves_no_connections_that_are_kept_for_ever():
    """The one used last is used first, so that the others may go."""

    async def work(transport):
        await asyncio.gather(*(exchange(transport) for _ in range(20)))
        for _ in range(10):
            await asyncio.sleep(IDLE_CONNECTION / 5)
            await exchange(transport)
        await asyncio.gather(*(exchange(transport) for _ in range(2)))

    assert connects_for(work) == 21


def test_a_connection_whose_request_was_cancelled_is_not_used_again():
    seen: list[int] = []

    def script(_):
        seen.append(1)
        return Trouble.HANG if len(seen) == 1 else None

    async def work(transport):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await exchange(transport)
        for _ in range(3):
            assert isinstance(await exchange(transport), Answer)

    assert connects_for(work, script=script) == 2


def test_what_a_server_sets_for_browsers_is_not_sent_back():
    cookie = Canned(200, b"{}", (("Set-Cookie", "session=1"),))
    _, network, _ = exchanged(script=lambda _: cookie, times=2)
    assert "cookie" not in network.arrived[-1].request.headers


def test_a_header_that_comes_twice_is_one_list():
    """The seam's `Canned` holds one of a name, in whatever case."""
    twice = Canned(200, b"{}", (("X-Word", "a"), ("x-word", "b")))
    answer, _, _ = exchanged(script=lambda _: twice)
    assert answer.headers["x-word"] == "a, b"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status):
    elsewhere = Canned(status, b"", (("Location", "http://elsewhere.example/api/v1/workspace"),))
    answer, network, _ = exchanged(script=lambda _: elsewhere)
    assert answer.status == status
    assert [sent.request.headers["host"] for sent in network.arrived] == ["simulator"]


def test_a_cookie_is_not_sent_back():
    """No answer changes the next request: a server could make every one of them too large."""
    cookie = Canned(200, b"{}", (("Set-Cookie", "a=b; Path=/"), ("Set-Cookie", "x" * 9000)))
    _, network, _ = exchanged(script=lambda _: cookie, times=2)
    assert [sent.request.headers.get("cookie") for sent in network.arrived] == [None, None]


def test_what_comes_after_an_answer_is_no_answer_to_the_next_request():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    answers = [Raw(answer + b"{}" + answer + b"[]", closes=False), None]
    result, network, _ = exchanged(script=lambda _: answers.pop(0), times=2)
    assert result.json()["error"]["code"] == "INVALID_API_KEY", "the simulator's own answer"
    assert len(network.arrived) == 2


def packed(body):
    return Canned(200, gzip.compress(body), (("Content-Encoding", "gzip"),))


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_an_answer_may_be_compressed(coding, pack):
    canned = Canned(200, pack(b'{"a": "b"}'), (("Content-Encoding", coding),))
    answer, network, _ = exchanged(script=lambda _: canned)
    assert answer.json() == {"a": "b"}
    assert network.arrived[0].request.headers["accept-encoding"] == "gzip, deflate"


def test_an_answer_that_cannot_be_unpacked_may_have_cost_something():
    broken = Canned(200, b"no gzip", (("Content-Encoding", "gzip"),))
    result, _, _ = exchanged(script=lambda _: broken)
    assert isinstance(result, MaybeSent)


LARGE = b'"' + b"x" * (LARGEST_ANSWER - 2) + b'"'


@pytest.mark.parametrize("canned", [Canned(200, LARGE), packed(LARGE)])
def test_the_largest_answer_is_taken_whole(canned):
    answer, _, _ = exchanged(script=lambda _: canned)
    assert len(answer.json()) == LARGEST_ANSWER - 2


@pytest.mark.parametrize("canned", [Canned(200, LARGE + b" "), packed(LARGE * 20)])
def test_an_answer_that_is_too_large_is_no_answer(canned):
    result, _, _ = exchanged(script=lambda _: canned)
    assert result == Malformed("the answer is larger than 8388608 bytes")


def test_a_connection_is_free_again_after_an_answer_that_was_too_large():
    answers = [Canned(200, LARGE + b" "), Canned(200, b"{}")]
    result, _, took = exchanged(script=lambda _: answers.pop(0), times=2, connections=1)
    assert isinstance(result, Answer)
    assert took < 1


# --- JSON that does no harm -------------------------------------------------------------------


def parsed(body):
    return Answer(200, {}, body).json()


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "\\u00e9"]}', {"a": [1, 2.5, None, True, "é"]}),
        (b" [] \n", []),
        (b'"\\ud83c\\udfe2"', "🏢"),
        (b"1" * 4000, int("1" * 4000)),
        (b"12345678901234567890123", 12345678901234567890123),
        (b'"\\u0000"', "\0"),
        (b"[" * DEEPEST_JSON + b"]" * DEEPEST_JSON, None),
    ],
)
def test_json_is_read(body, value):
    result = parsed(body)
    assert not isinstance(result, Malformed)
    assert value is None or result == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"a": 1',
        b"{} {}",
        b"\xff\xfe{}",
        b'"\xe9"',
        b"NaN",
        b'{"a": -Infinity}',
        b"[1e999]",
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"[" * (DEEPEST_JSON + 1) + b"]" * (DEEPEST_JSON + 1),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_that_can_be_kept_is_malformed(body):
    assert isinstance(parsed(body), Malformed)


# --- was it sent? -----------------------------------------------------------------------------


def test_a_refused_connection_has_sent_nothing():
    result, network, _ = exchanged(refuse=True)
    assert isinstance(result, NotSent)
    assert "connection refused" in result.reason
    assert network.arrived == []


@pytest.mark.parametrize("trouble", [Trouble.LOST_BEFORE, Trouble.LOST_AFTER, Trouble.CUT])
@pytest.mark.parametrize("times", [1, 2])
def test_a_connection_that_breaks_after_the_head_may_have_sent_the_request(trouble, times):
    """Also on a connection that was good before."""
    seen: list[int] = []

    def script(_):
        seen.append(1)
        return trouble if len(seen) == times else None

    result, network, took = exchanged(script=script, times=times)
    assert isinstance(result, MaybeSent)
    assert len(network.arrived) == times
    assert took < 1


def test_no_answer_within_the_deadline_may_have_sent_the_request():
    result, _, took = exchanged(script=lambda _: Trouble.HANG, deadline=30)
    assert result == MaybeSent("no complete answer within 30 s")
    assert took == pytest.approx(30, abs=0.01)


def test_a_deadline_that_ends_while_waiting_for_a_connection_has_sent_nothing():
    network = SimulatedNetwork(Workspace(Settings(rate=None), BASE_URL))
    network.script = lambda _: Trouble.HANG
    left = Moments()

    async def work():
        async with Transport(BASE_URL, connections=1, network=network) as transport:
            first = asyncio.create_task(exchange(transport, deadline=60))
            await asyncio.sleep(1)
            second = await exchange(transport, deadline=5, on_sent=left.note)
            return await first, second

    first, second = virtual.run(work())
    assert isinstance(first, MaybeSent)
    assert second == NotSent("no complete answer within 5 s")
    assert len(network.arrived) == 1
    assert left == []


def test_the_moment_at_which_a_request_leaves_is_told_once():
    """A new connection is made first; the rate limit counts what leaves after that."""
    network = SimulatedNetwork(Workspace(Settings(rate=None), BASE_URL), latency=0.4)
    left = Moments()

    async def work():
        async with Transport(BASE_URL, network=network) as transport:
            for _ in range(3):
                await exchange(transport, on_sent=left.note)

    virtual.run(work())
    assert left == pytest.approx([0.2, 0.6, 1.0], abs=0.01)  # only the first one connects


@pytest.mark.parametrize(
    ("request_", "times"),
    [
        ({"refuse": True}, 0),
        ({"script": lambda _: Trouble.LOST_BEFORE}, 1),
        ({"script": lambda _: Trouble.HANG}, 1),
        ({"script": lambda _: Canned(307, b"", (("Location", "/x"),))}, 1),
    ],
)
def test_what_counts_as_sent_is_told_as_having_left(request_, times):
    left = Moments()
    result, _, _ = exchanged(on_sent=left.note, **request_)
    assert len(left) == times
    assert isinstance(result, NotSent) is (times == 0)


def test_a_deadline_that_ends_while_connecting_has_sent_nothing():
    network = SimulatedNetwork(Workspace(Settings(rate=None), BASE_URL), latency=100)

    async def work():
        async with Transport(BASE_URL, network=network) as transport:
            return await exchange(transport, deadline=10)

    assert virtual.run(work()) == NotSent("no complete answer within 10 s")


def test_one_who_cancels_an_exchange_gets_the_cancellation():
    network = SimulatedNetwork(Workspace(Settings(rate=None), BASE_URL))
    network.script = lambda _: Trouble.HANG

    async def work():
        async with Transport(BASE_URL, network=network) as transport:
            task = asyncio.create_task(exchange(transport))
            await asyncio.sleep(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    virtual.run(work())


# --- over real sockets ------------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def request_of(reader):
    """The head of a request; nothing if the client left."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        return await reader.readuntil(b"\r\n\r\n")
    return b""


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None):
    """A server that treats every connection as `serve` does; gives its port."""

    connections: set[asyncio.Task] = set()

    async def treat(reader, writer):
        with suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader, writer):
        connections.add(asyncio.create_task(treat(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*connections)


def over_a_socket(serve, times=1, deadline=5.0):
    """What each of so many exchanges with such a server brings."""

    async def work():
        async with (
            listening(serve) as port,
            Transport(f"http://127.0.0.1:{port}/api/v1") as transport,
        ):
            return [await exchange(transport, deadline=deadline) for _ in range(times)]

    return asyncio.run(work())


def test_over_a_socket_answers_come_back():
    async def serve(reader, writer):
        while await request_of(reader):
            writer.write(OK)

    results = over_a_socket(serve, times=3)
    assert [result.body for result in results] == [b"{}"] * 3


def test_over_a_socket_nobody_listens():
    async def work():
        async with listening(lambda *_: asyncio.sleep(0)) as port:
            pass
        async with Transport(f"http://127.0.0.1:{port}") as transport:
            return await exchange(transport)

    assert asyncio.run(work()) == NotSent("no connection could be made: connection refused")


def test_over_a_socket_the_server_accepts_and_closes():
    async def serve(reader, writer):
        await request_of(reader)

    [result] = over_a_socket(serve)
    assert result == MaybeSent("the server closed the connection without an answer")


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_over_a_socket_the_answer_hangs(part):
    async def serve(reader, writer):
        await request_of(reader)
        writer.write(part)
        await reader.read()

    [result] = over_a_socket(serve, deadline=0.02)
    assert result == MaybeSent("no complete answer within 0.02 s")


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            "the server closed the connection in the middle of its answer",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "the server closed the connection without an answer"),
        (b"\0" * 50, "what came back is no HTTP: "),
    ],
)
def test_over_a_socket_the_answer_is_cut_or_is_no_http(part, told):
    async def serve(reader, writer):
        await request_of(reader)
        writer.write(part)

    [result] = over_a_socket(serve)
    assert isinstance(result, MaybeSent)
    assert result.reason.startswith(told)


def test_over_a_socket_an_idle_connection_that_the_server_closed_is_not_used_again():
    """A request on it would be lost, and perhaps paid: the next one takes a new connection."""
    heads = []
    closed = asyncio.Event()

    async def serve(reader, writer):
        heads.append(await request_of(reader))
        writer.write(OK)
        writer.close()
        await writer.wait_closed()
        closed.set()

    async def work():
        async with listening(serve) as port, Transport(f"http://127.0.0.1:{port}") as transport:
            for _ in range(3):
                yield await exchange(transport)
                await closed.wait()
                closed.clear()

    async def results():
        return [type(result) async for result in work()]

    assert asyncio.run(results()) == [Answer] * 3
    assert len(heads) == 3


def test_no_proxy_stands_between_us_and_our_own_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    async def serve(reader, writer):
        while await request_of(reader):
            writer.write(OK)

    [result] = over_a_socket(serve)
    assert isinstance(result, Answer)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", b""])
def test_a_proxy_that_makes_no_tunnel_has_sent_nothing(monkeypatch, answer):
    heads = []
    left = Moments()

    async def serve(reader, writer):
        heads.append(await request_of(reader))
        writer.write(answer)

    async def work():
        async with listening(serve) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
            async with Transport("https://api.bitscale.ai/api/v1") as transport:
                headers = {"X-API-KEY": "sk-secret"}
                return await exchange(transport, headers=headers, on_sent=left.note)

    assert isinstance(asyncio.run(work()), NotSent)
    assert left == []
    assert heads[0].startswith(b"CONNECT api.bitscale.ai:443")
    assert b"sk-secret" not in heads[0]


def test_a_server_that_speaks_no_tls_has_got_nothing():
    seen = []

    async def serve(reader, writer):
        seen.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def work():
        async with (
            listening(serve) as port,
            Transport(f"https://127.0.0.1:{port}") as transport,
        ):
            return await exchange(transport, headers={"X-API-KEY": "sk-secret"})

    assert isinstance(asyncio.run(work()), NotSent)
    assert b"sk-secret" not in seen[0]


def over_tls(base_url, trusted="", headers=None):
    """What an exchange with a server of a certificate for localhost brings, and what that got."""
    seen = []

    async def serve(reader, writer):
        seen.append(await request_of(reader))
        writer.write(OK)

    async def work():
        certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.load_cert_chain(LOOPBACK)
        async with (
            listening(serve, certificate) as port,
            Transport(base_url.format(port=port)) as transport,
        ):
            return await exchange(transport, headers=headers or {})

    return asyncio.run(work()), seen


def test_a_certificate_that_nobody_vouches_for_gets_nothing():
    result, seen = over_tls("https://localhost:{port}", headers={"X-API-KEY": KEY})
    assert isinstance(result, NotSent)
    assert "CERTIFICATE_VERIFY_FAILED" in result.reason
    assert seen == []


def test_a_certificate_of_another_name_gets_nothing(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(LOOPBACK))
    result, seen = over_tls("https://127.0.0.2:{port}", headers={"X-API-KEY": KEY})
    assert isinstance(result, NotSent)
    assert seen == []


def test_a_certificate_that_the_user_trusts_is_taken(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(LOOPBACK))
    result, seen = over_tls("https://localhost:{port}")
    assert isinstance(result, Answer)
    assert len(seen) == 1


def test_errors_do_not_show_what_was_sent():
    async def serve(reader, writer):
        await request_of(reader)

    async def work():
        async with listening(serve) as port, Transport(f"http://127.0.0.1:{port}") as transport:
            return await exchange(
                transport, headers={"X-API-KEY": "sk-secret"}, content=json.dumps({}).encode()
            )

    assert "sk-secret" not in repr(asyncio.run(work()))


def test_over_a_socket_what_comes_unasked_spoils_a_connection():
    """Read as the answer to the next request, it would be another row's result."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        while await request_of(reader):
            writer.write(OK)

    async def work():
        async with listening(serve) as port, Transport(f"http://127.0.0.1:{port}") as transport:
            first = await exchange(transport)
            connections[0].write(OK)
            return [first, await exchange(transport)]

    assert [type(result) for result in asyncio.run(work())] == [Answer] * 2
    assert len(connections) == 2


def test_over_a_socket_a_large_answer_is_read_whole():
    async def serve(reader, writer):
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        writer.write(LARGE)
        await writer.drain()

    [result] = over_a_socket(serve)
    assert result.body == LARGE


def test_a_password_file_is_not_read(monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    heads = []

    async def serve(reader, writer):
        heads.append(await request_of(reader))
        writer.write(OK)

    over_a_socket(serve)
    assert b"authorization" not in heads[0].lower()


# --- over TLS ---------------------------------------------------------------------------------

CERTIFICATE = Path(__file__).parent / "support" / "localhost.pem"
"""Of nobody but these tests, for localhost and api.bitscale.ai; its key lies beside it."""


def of_the_server():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    return tls


async def answering(reader, writer):
    while await request_of(reader):
        writer.write(OK)


def test_over_tls_answers_come_back(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    left = Moments()

    async def work():
        async with (
            listening(answering, of_the_server()) as port,
            Transport(f"https://localhost:{port}/api/v1") as transport,
        ):
            return [await exchange(transport, on_sent=left.note) for _ in range(3)]

    assert [result.body for result in asyncio.run(work())] == [b"{}"] * 3
    assert len(left) == 3


def test_a_large_answer_over_tls_is_read_whole(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))

    async def serve(reader, writer):
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        writer.write(LARGE)
        await writer.drain()

    async def work():
        async with (
            listening(serve, of_the_server()) as port,
            Transport(f"https://localhost:{port}") as transport,
        ):
            return await exchange(transport)

    assert asyncio.run(work()).body == LARGE


def test_a_certificate_that_is_not_trusted_has_got_nothing(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    left = Moments()

    async def work():
        async with (
            listening(answering, of_the_server()) as port,
            Transport(f"https://localhost:{port}") as transport,
        ):
            return await exchange(transport, on_sent=left.note)

    result = asyncio.run(work())
    assert isinstance(result, NotSent)
    assert "certificate verify failed" in result.reason
    assert left == []


def test_a_deadline_that_ends_in_the_middle_of_tls_has_sent_nothing():
    async def serve(reader, writer):
        await reader.read()

    async def work():
        async with listening(serve) as port, Transport(f"https://localhost:{port}") as transport:
            return await exchange(transport, deadline=0.05)

    assert asyncio.run(work()) == NotSent("no complete answer within 0.05 s")


@pytest.mark.parametrize("no_proxy", ["", "localhost", "*"])
def test_a_proxy_carries_what_it_cannot_read(monkeypatch, no_proxy):
    """Unless the server is one of those that are reached without it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setenv("NO_PROXY", no_proxy)
    asked, left = [], Moments()

    async def relay(reader, writer):
        asked.append(await request_of(reader))
        target = asked[0].split()[1].decode()
        there, to_server = await asyncio.open_connection(*target.split(":"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(piped(reader, to_server), piped(there, writer))

    async def work():
        async with listening(relay) as proxy, listening(answering, of_the_server()) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{proxy}")
            async with Transport(f"https://localhost:{port}") as transport:
                headers = {"X-API-KEY": "sk-secret"}
                return [
                    await exchange(transport, headers=headers, on_sent=left.note) for _ in range(2)
                ]

    assert [result.body for result in asyncio.run(work())] == [b"{}"] * 2
    assert len(left) == 2
    assert len(asked) == (0 if no_proxy else 1)
    assert all(b"sk-secret" not in head for head in asked)
    assert all(b"Basic bWU6c2VjcmV0" in head for head in asked)


async def piped(reader, writer):
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
