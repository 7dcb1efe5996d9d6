"""What a proxy must get right about HTTP/1.1 messages (RFC 9110, 9112), seen from both sides."""
import json
import socket
import threading

import pytest

import gh


@pytest.fixture
def raw():
    """A gateway before a backend whose bytes the test writes: raw(serve) -> gateway with .backend."""
    open_things = []

    def make(serve, settings="", rules=None, workers=1):
        backend = gh.RawServer(serve)
        open_things.append(backend)
        g = gh.Gateway(gh.simple_files(backend, rules=rules), settings=settings, workers=workers)
        open_things.append(g)
        g.backend = backend
        return g
    yield make
    for thing in reversed(open_things):
        thing.close()


def fixed(answer):
    def serve(c, number):
        while True:
            gh.read_request(c)
            c.send(answer)
    return serve


# ---- connections ----
def test_a_connection_serves_many_requests_and_the_upstream_connection_is_reused(served):
    with served.connect() as c:
        for i in range(50):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            status, _, body = c.response()
            assert status == 200 and json.loads(body)["target"] == f"/{i}"
    assert len(served.upstream.connections) == 1


def test_pipelined_requests_are_answered_in_order(served):
    with served.connect() as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(20)))
        assert [json.loads(c.response()[2])["target"] for _ in range(20)] == [f"/{i}" for i in range(20)]


def test_a_request_split_at_every_byte_is_the_same_request(served):
    with served.connect() as c:
        for byte in b"POST /split HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n":
            c.send(bytes([byte]))
        status, _, body = c.response()
        assert status == 200 and json.loads(body)["body"] == "abcd"


def test_connection_close_is_honoured(served):
    with served.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        status, headers, _ = c.response()
        assert status == 200 and dict(headers)["connection"] == "close"
        assert c.closed()


def test_http_1_0_is_answered_and_closed_unless_keep_alive_is_asked(served):
    with served.connect() as c:
        c.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n")
        assert c.response()[0] == 200
        assert c.closed()
    with served.connect() as c:
        for _ in range(2):
            c.send("GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            status, headers, _ = c.response()
            assert status == 200 and dict(headers).get("connection", "").lower() == "keep-alive"


def test_a_half_closed_client_still_gets_its_answer(served):
    with served.connect() as c:
        c.send("GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        assert len(c.response()[2]) == 100000
        assert c.closed()


def test_a_half_closed_client_gets_an_answer_that_is_slow_but_goes_on(served):
    with served.connect() as c:
        c.send("GET /slow/120 HTTP/1.1\r\nHost: a\r\n\r\n")  # longer than a pause may be
        c.sock.shutdown(socket.SHUT_WR)
        assert len(c.response()[2]) == 120


def test_an_answer_that_stalls_ends_when_its_client_has_half_closed():
    ended = threading.Event()

    def stall(c, _):
        gh.read_request(c)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
        if c.closed():
            ended.set()
    with gh.RawServer(stall) as u, gh.Gateway(gh.simple_files(u)) as g, g.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        c.until(b"part")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.closed()
        assert ended.wait(gh.DEADLINE), "the backend hears of it"


def test_ipv6_clients_and_upstreams(tmp_path):
    with gh.Upstream("six", host="::1") as u:
        files = gh.simple_files(u)
        files["service.yaml"] = gh.service_yaml("up", u.port, host="::1")
        with gh.Gateway(files) as g:
            with gh.Client(g.port, host="::1") as c:
                c.send("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n")
                seen = json.loads(c.response()[2])
                headers = {k.lower(): v for k, v in seen["headers"]}
                assert seen["name"] == "six"
                assert "::1" in headers["x-forwarded-for"]


# ---- bodies ----
@pytest.mark.parametrize("size", [0, 1, 16384, 65536, 1 << 20, 5 << 20])
def test_request_and_response_bodies_of_any_size_pass(served, size):
    data = bytes(i % 251 for i in range(1024)) * (size // 1024) + b"x" * (size % 1024)
    status, _, body = served.get("/", method="POST", body=data)
    assert status == 200 and json.loads(body)["body"].encode("latin-1") == data
    assert len(served.get(f"/bytes/{size}")[2]) == size


def test_trailers_pass_in_both_directions_but_not_forbidden_ones(raw):
    def serve(c, number):
        serve.trailers = gh.read_request(c)[4]
        c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\nContent-Length: 9\r\n\r\n")
    g = raw(serve)
    with g.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
               "2\r\nhi\r\n0\r\nx-check: 1\r\nTransfer-Encoding: gzip\r\nHost: b\r\n\r\n")
        head = c.until(b"\r\n\r\n")
        assert b"200" in head.split(b"\r\n")[0]
        rest = c.until(b"\r\n\r\n")
        assert rest.startswith(b"3\r\nabc\r\n0\r\n")
        assert b"x-sum: 6" in rest and b"ontent-" not in rest
    assert [(k.lower(), v) for k, v in serve.trailers] == [("x-check", "1")]


def test_a_response_without_length_ends_with_the_connection(served):
    with served.connect() as c:
        c.send("GET /close HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers, body = c.response()
        assert (status, body) == (200, b"until the end")


@pytest.mark.parametrize("status", [204, 304])
def test_responses_that_have_no_body_leave_the_connection_usable(served, status):
    with served.connect() as c:
        c.send(f"GET /status/{status} HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response()[0] == status
        assert json.loads(c.response()[2])["target"] == "/next"


def test_head_has_the_length_but_no_body(served):
    with served.connect() as c:
        c.send("HEAD /bytes/1234 HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers, _ = c.response("HEAD")
        assert status == 200 and dict(headers)["content-length"] == "1234"
        assert c.response()[0] == 200


def test_expect_100_continue_is_passed_on(raw):
    def serve(c, number):
        head = c.until(b"\r\n\r\n")
        assert b"100-continue" in head.lower()
        c.send("HTTP/1.1 100 Continue\r\n\r\n")
        body = c.exactly(5)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
    g = raw(serve)
    with g.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        c.send("hello")
        assert c.response()[2] == b"hello"


def test_other_expectations_are_refused(served):
    with served.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 200-maybe\r\n\r\n")
        assert c.response()[0] == 417


def test_early_hints_pass(raw):
    def serve(c, number):
        gh.read_request(c)
        c.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    g = raw(serve)
    with g.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        first = c.until(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 103") and b"</a.css>" in first
        assert c.response()[2] == b"ok"


def test_an_early_answer_arrives_while_the_upload_still_runs(raw):
    def serve(c, number):
        c.until(b"\r\n\r\n")
        c.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    g = raw(serve)
    with g.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome")
        status, _, body = c.response()
        assert (status, body) == (403, b"no")


def test_a_slow_reader_pauses_the_upstream_instead_of_filling_memory(raw):
    sent = []

    def serve(c, number):
        gh.read_request(c)
        n = 256 << 20
        c.send(f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n")
        c.sock.settimeout(1.5)
        try:
            while n > 0:
                n -= c.sock.send(b"x" * 65536)
                sent.append(65536)
        except TimeoutError:
            stalled.set()
    stalled = threading.Event()
    g = raw(serve)
    with g.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stalled.wait(gh.DEADLINE), "the upstream was never paused"
        assert sum(sent) < 64 << 20


# ---- header fields ----
def test_hop_by_hop_fields_stop_here(served):
    with served.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n"
               "Proxy-Connection: keep-alive\r\nTE: gzip\r\nX-Public: 2\r\n\r\n")
        seen = {k.lower(): v for k, v in json.loads(c.response()[2])["headers"]}
    assert seen["x-public"] == "2"
    for name in ("x-private", "keep-alive", "proxy-connection"):
        assert name not in seen
    assert "gzip" not in seen.get("te", "")


def test_connection_can_not_remove_framing_or_host(served):
    with served.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host\r\nContent-Length: 3\r\n\r\nabc")
        data = c.response()
    if data[0] == 200:
        seen = json.loads(data[2])
        assert seen["body"] == "abc" and ("host" in {k.lower() for k, _ in seen["headers"]})
    else:
        assert data[0] == 400


def test_forwarding_fields_tell_the_truth(served):
    seen = {k.lower(): v for k, v in served.json("/", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})["headers"]}
    assert seen["x-forwarded-for"].endswith("127.0.0.1")
    assert seen["x-forwarded-proto"] == "http"
    assert len(seen["x-request-id"]) >= 16


def test_a_request_id_of_the_client_is_kept(served):
    seen = {k.lower(): v for k, v in served.json("/", headers={"X-Request-Id": "mine-1"})["headers"]}
    assert seen["x-request-id"] == "mine-1"


def test_names_with_underscores_are_dropped(served):
    seen = {k.lower() for k, _ in served.json("/", headers={"X_Forwarded_For": "1.2.3.4", "Content_Length": "4"})["headers"]}
    assert not any("_" in name for name in seen)


def test_absolute_form_wins_over_host(served):
    with served.connect() as c:
        c.send("GET http://a.example.com/abs?q HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
        seen = json.loads(c.response()[2])
    assert seen["target"] == "/abs?q"
    assert {k.lower(): v for k, v in seen["headers"]}["host"] == "a.example.com"


@pytest.mark.parametrize("request_text,status", [
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("GET /" + "x" * 20000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 70000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: 1\r\n" * 101 + "\r\n", 431),
])
def test_what_can_be_read_two_ways_is_refused_and_the_connection_ends(served, request_text, status):
    with served.connect() as c:
        c.send(request_text)
        got, headers, _ = c.response()
        assert got == status
        assert c.closed()
    assert served.upstream.count() == 0


@pytest.mark.parametrize("path", ["/%00", "/a%2fb", "/a%5Cb", "/a;b", "/../a", "/%zz", "/a\\b"])
def test_a_path_with_two_readings_is_refused(served, path):
    with served.connect() as c:
        c.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response()[0] == 400
    assert served.upstream.count() == 0


@pytest.mark.parametrize("asked,canonical", [("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a//b", "/a/b"), ("/%61", "/a"), ("/a%3ab", "/a%3Ab"),
                                             ("/a/%2e%2e/b", "/b")])
def test_the_upstream_sees_the_one_canonical_path_that_was_matched(served, asked, canonical):
    with served.connect() as c:
        c.send(f"GET {asked}?q=%2f/../x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert json.loads(c.response()[2])["target"] == canonical + "?q=%2f/../x"


# ---- upgrade ----
def test_a_websocket_echoes_through(served):
    websockets = pytest.importorskip("websockets.sync.client", reason="python3-websockets is too old for its sync client")
    with websockets.connect(f"ws://127.0.0.1:{served.port}/websocket") as ws:
        for text in ("one", "x" * 70000, "three"):
            ws.send(text)
            assert ws.recv() == text


def test_an_upgrade_that_the_upstream_refuses_is_a_plain_answer(raw):
    g = raw(fixed(b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno"))
    with g.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        assert c.response()[2] == b"no"


def test_h2c_upgrade_is_not_forwarded(served):
    with served.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        seen = {k.lower() for k, _ in json.loads(c.response()[2])["headers"]}
    assert "upgrade" not in seen and "http2-settings" not in seen


# ---- failures upstream ----
def test_a_dead_upstream_gives_503_and_the_reason_is_logged():
    port = gh.free_port()
    files = {"g.yaml": gh.gateway_yaml(), "r.yaml": gh.route_yaml("r", "- backendRefs: [{name: up, port: 80}]"), "s.yaml": gh.service_yaml("up", port)}
    with gh.Gateway(files) as g:
        assert g.get("/")[0] == 503
        assert g.stop() == 0
        line = json.loads(g.access_log.read_text().splitlines()[-1])
        assert line["reason"] == "connect_failed"


def test_a_service_without_endpoints_gives_503_and_an_unknown_service_500(upstream):
    files = {"g.yaml": gh.gateway_yaml(),
             "r.yaml": gh.route_yaml("r", """
                - matches: [{path: {value: /empty}}]
                  backendRefs: [{name: empty, port: 80}]
                - matches: [{path: {value: /unknown}}]
                  backendRefs: [{name: unknown, port: 80}]
                - matches: [{path: {value: /none}}]
                """), "s.yaml": gh.service_yaml("empty")}
    with gh.Gateway(files) as g:
        assert g.get("/empty")[0] == 503
        assert g.get("/unknown")[0] == 500
        assert g.get("/none")[0] == 500
        assert g.get("/nowhere")[0] == 404


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
])
def test_an_answer_that_is_not_http_becomes_502(raw, answer):
    g = raw(fixed(answer))
    assert g.get("/")[0] == 502


def test_surplus_bytes_behind_an_answer_never_become_the_next_answer(raw):
    def serve(c, number):
        while True:
            method, target, *_ = gh.read_request(c)
            body = f"answer to {target}".encode()
            c.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) +
                   b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
    g = raw(serve)
    with g.connect() as c:
        for i in range(5):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.response()[2] == f"answer to /{i}".encode()


def test_an_upstream_that_dies_in_the_body_ends_the_client_connection(raw):
    def serve(c, number):
        gh.read_request(c)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        c.close()
    g = raw(serve)
    with g.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"only this" in c.rest()


def test_a_stale_pooled_connection_does_not_cost_a_request(raw):
    """The upstream closes idle connections after each answer without saying so."""
    def serve(c, number):
        gh.read_request(c)
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        c.close()
    g = raw(serve)
    with g.connect() as c:
        for _ in range(100):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.response()[0] == 200


def test_a_client_that_leaves_cancels_the_upstream_request(raw):
    gone = threading.Event()

    def serve(c, number):
        gh.read_request(c)
        if c.closed():
            gone.set()
    g = raw(serve)
    with g.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert g.backend.accepted.acquire(timeout=gh.DEADLINE)
    assert gone.wait(gh.DEADLINE)


# ---- time ----
def test_timeouts_of_a_rule_answer_504(upstream):
    rules = """
        - matches: [{path: {value: /hang}}]
          timeouts: {request: 300ms}
          backendRefs: [{name: up, port: 80}]
        - matches: [{path: {value: /b/hang}}]
          timeouts: {backendRequest: 300ms}
          backendRefs: [{name: up, port: 80}]
        """
    with gh.Gateway(gh.simple_files(upstream, rules=rules)) as g:
        assert g.get("/hang")[0] == 504
        assert g.get("/b/hang")[0] == 504


def test_a_slow_request_head_is_cut_by_an_absolute_timer(upstream):
    with gh.Gateway(gh.simple_files(upstream), settings="timeouts:\n  header: 1s\n") as g:
        with g.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n")
            stop = threading.Event()

            def dribble():
                while not stop.wait(0.1):
                    try:
                        c.send("X: 1\r\n")
                    except OSError:
                        return
            t = threading.Thread(target=dribble)
            t.start()
            data = c.rest()
            stop.set()
            t.join()
            assert data == b"" or data.startswith(b"HTTP/1.1 408")


def test_idle_connections_are_closed_after_the_idle_time(upstream):
    with gh.Gateway(gh.simple_files(upstream), settings="timeouts:\n  idle: 1s\n") as g:
        with g.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.response()[0] == 200
            assert c.closed(5)
