"""HTTP/2 towards clients and backends, as real clients and libraries see it (RFC 9113, 8441)."""
import base64
import json
import os
import pathlib
import struct
import subprocess
import sys
import threading

import gh
import h2lib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "unit/worker/proxy"))


def h2c_files(*backends):
    files = gh.simple_files(*backends)
    files["service.yaml"] = files["service.yaml"].replace("{name: http, port: 80}", "{name: http, port: 80, appProtocol: kubernetes.io/h2c}")
    assert "kubernetes.io/h2c" in files["service.yaml"]
    return files


def curl(port, *args, input=None):
    r = subprocess.run(["curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", *args, f"http://127.0.0.1:{port}/x"],
                       capture_output=True, input=input, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout


# ---- clients ----
def test_curl_by_prior_knowledge(served):
    assert curl(served.port, "-o", "/dev/null", "-w", "%{http_version} %{response_code}") == b"2 200"
    seen = json.loads(curl(served.port, "-d", "abc", "-H", "X-Mixed: Case"))
    assert (seen["method"], seen["body"]) == ("POST", "abc")
    assert ["x-mixed", "Case"] in seen["headers"]
    assert b"HTTP/2 200" in curl(served.port, "-I")
    data = os.urandom(3 << 20)
    seen = json.loads(curl(served.port, "--data-binary", "@-", input=data))
    assert seen["body"].encode("latin-1") == data


def test_curl_agrees_on_http_2_in_tls(upstream):
    certs = gh.TOP / "tests/certs"
    data = {k: base64.b64encode((certs / f).read_bytes()).decode() for k, f in (("tls.crt", "ecdsa.pem"), ("tls.key", "ecdsa.key.pem"))}
    pair = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "pair"}, "data": data}
    files = gh.simple_files(upstream)
    files["gateway.yaml"] = files["gateway.yaml"].replace("protocol: HTTP\n", "protocol: HTTPS\n    tls: {certificateRefs: [{name: pair}]}\n")
    with gh.Gateway({**files, "pair.yaml": json.dumps(pair)}) as g:
        url = f"https://a.example.com:{g.port}/x"
        ask = ["curl", "-sS", "--max-time", "20", "--cacert", str(certs / "ca.pem"), "--resolve", f"a.example.com:{g.port}:127.0.0.1"]
        big = os.urandom(3 << 20)
        for version in ("--http2", "--http1.1"):
            out = subprocess.run([*ask, version, "-o", "/dev/null", "-w", "%{http_version} %{response_code} ", url, "-o", "/dev/null", url],
                                 capture_output=True, check=True).stdout
            assert out == (b"2 200 2 200 " if version == "--http2" else b"1.1 200 1.1 200 ")
            seen = json.loads(subprocess.run([*ask, version, "--data-binary", "@-", url], input=big, capture_output=True, check=True).stdout)
            assert seen["body"].encode("latin-1") == big
            assert ["x-forwarded-proto", "https"] in [[k.lower(), v] for k, v in seen["headers"]]
        m = g.metrics()
        assert sum(v for k, v in m.items() if k.startswith("gatehouse_h2_streams_total")) == 3


def test_http_1_is_spoken_on_the_same_port(served):
    with h2lib.Client(served.port) as two, served.connect() as one:
        for _ in range(3):
            assert two.get("/2").status == 200
            one.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert one.response()[0] == 200


def test_the_log_and_the_metrics_know_what_was_spoken(served):
    with h2lib.Client(served.port) as c:
        for _ in range(5):
            assert c.get("/seen").status == 200
        m = served.metrics()
        assert sum(v for k, v in m.items() if k.startswith("gatehouse_h2_streams_total")) == 5
        assert sum(v for k, v in m.items() if k.startswith("gatehouse_h2_active")) == 1
    served.stop()
    lines = [json.loads(line) for line in served.access_log.read_text().splitlines()]
    assert [line["protocol"] for line in lines if line["path"] == "/seen"] == ["HTTP/2"] * 5


def test_a_hundred_requests_at_a_time(served):
    with h2lib.Client(served.port) as c:
        ids = [c.open(f"/{n}", "POST", end=False) for n in range(100)]
        for i in ids:
            c.send(i, b"some content", end=True)
        for n, i in enumerate(ids):
            seen = json.loads(c.response(i).body)
            assert (seen["target"], seen["body"]) == (f"/{n}", "some content")


def test_content_and_trailers_of_any_size(served):
    with h2lib.Client(served.port) as c:
        assert len(c.get("/bytes/10000000").body) == 10000000
        data = os.urandom(2 << 20)
        i = c.open("/", "POST", end=False, headers=[("te", "trailers")])
        c.send(i, data)
        c.end(i, [("x-checksum", "abc")])
        seen = json.loads(c.response(i).body)
        assert seen["body"].encode("latin-1") == data and ["x-checksum", "abc"] in seen["trailers"]


def test_a_load_generator_sees_no_failure(served):
    r = subprocess.run(["h2load", "-n", "3000", "-c", "10", "-m", "30", f"http://127.0.0.1:{served.port}/status/200"], capture_output=True,
                       text=True, timeout=120, check=True)
    assert "3000 succeeded, 0 failed, 0 errored" in r.stdout, r.stdout


def frame(data, mask=b"abcd"):
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(x ^ mask[i % 4] for i, x in enumerate(data))


def websocket(c, path="/websocket"):
    c.wait(lambda: h2lib.h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in c.c.remote_settings)
    i = c.open(path, "CONNECT", end=False, protocol="websocket", headers=[("sec-websocket-version", "13")])
    c.wait(lambda: c.stream(i).status)
    assert c.stream(i).status == 200
    return i


def test_a_websocket_over_http_2(served):
    with h2lib.Client(served.port) as c:
        i = websocket(c)
        for word in (b"hello", b"again"):
            c.stream(i).body = b""
            c.send(i, frame(word))
            c.wait(lambda w=word: c.stream(i).body == bytes([0x81, len(w)]) + w)
        c.send(i, bytes([0x88, 0x80]) + b"abcd") # close
        c.wait(lambda: c.stream(i).ended)


# ---- change and end ----
def test_streams_and_websockets_live_through_reloads(served):
    with h2lib.Client(served.port) as c:
        slow = [c.open("/slow/300") for _ in range(20)]
        sockets = [websocket(c) for _ in range(5)]
        c.wait(lambda: all(c.stream(i).body for i in slow))
        for n in range(20):
            served.write("extra.yaml", gh.route_yaml("extra", "- backendRefs: [{name: up, port: 80}]", hostnames=[f"h{n}.example.com"]))
            served.reload()
        for i in sockets:
            c.stream(i).body = b""
            c.send(i, frame(b"still"))
            c.wait(lambda i=i: c.stream(i).body == b"\x81\x05still")
        served.upstream.release.set()
        for i in slow:
            assert len(c.response(i).body) == 300
        assert c.goaways == []
        assert c.get("/").status == 200


def test_a_graceful_stop_answers_what_was_asked(upstream):
    import h2_wire # the library takes any GOAWAY for the end
    with gh.Gateway(gh.simple_files(upstream), workers=1) as g, h2_wire.H2(g.connect().sock) as c:
        slow = [c.open("/slow/100") for _ in range(10)]
        c.wait(lambda: all(c.stream(i).body for i in slow))
        stopper = threading.Thread(target=g.stop)
        stopper.start()
        c.wait(lambda: c.goaways)
        assert c.goaways[0][:2] == (0x7fffffff, 0)
        late = c.open("/status/200") # was on its way
        upstream.release.set()
        for i in slow:
            assert len(c.response(i)[2]) == 100
        c.wait(lambda: c.stream(late).ended or c.goaways[-1][0] < late) # or the second GOAWAY was quicker, and says so
        assert c.ended() == 0
        c.close()
        stopper.join()


# ---- backends ----
def grpc_like(p, number):
    """Answers with what was sent, and its trailers as a gRPC server would."""
    for i in h2lib.requests(p):
        s = p.streams[i]
        h = dict(s.headers)
        if h[":path"] == "/leave": # the library would say nothing more
            p.sock.sendall(struct.pack(">IBIII", 8 << 8 | 7, 0, 0, i, 0))
        if h[":path"] == "/only-trailers":
            h2lib.answer(p, i, headers=[("content-type", "application/grpc"), ("grpc-status", "12")])
            continue
        h2lib.answer(p, i, s.body or json.dumps([number, s.headers, s.trailers]).encode(), headers=[("content-type", "application/grpc")],
                     trailers=[("grpc-status", "0"), ("grpc-message", "fine")])


def test_a_backend_that_speaks_http_2(upstream):
    with h2lib.Server(grpc_like) as b, gh.Gateway(h2c_files(b), workers=1) as g:
        with h2lib.Client(g.port) as c: # HTTP/2 all the way, with trailers both ways
            ids = [c.open("/pkg.Service/Call", "POST", end=False, headers=[("te", "trailers"), ("content-type", "application/grpc")]) for _ in range(50)]
            for i in ids:
                c.send(i, b"\0\0\0\0\5hello")
                c.end(i)
            for i in ids:
                s = c.response(i)
                assert (s.body, dict(s.trailers)["grpc-status"]) == (b"\0\0\0\0\5hello", "0")
            s = c.get("/only-trailers")
            assert (s.status, dict(s.headers)["grpc-status"], s.body) == (200, "12", b"")
            number, headers, _ = json.loads(c.get("/h", headers=[("te", "trailers")]).body)
            seen = dict(headers)
            assert (seen["te"], seen[":authority"], seen["x-forwarded-for"]) == ("trailers", "a.example.com", "127.0.0.1")
        with g.connect() as c: # HTTP/1.1 in front
            c.send("POST /1 HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n")
            status, _, body = c.response()
            assert (status, body) == (200, b"hello")
        assert len(b.connections) == 1
        data = os.urandom(3 << 20)
        assert curl(g.port, "--data-binary", "@-", input=data) == data


def test_a_backend_that_leaves_loses_no_request(upstream):
    with h2lib.Server(grpc_like) as b, gh.Gateway(h2c_files(b), workers=1) as g, h2lib.Client(g.port) as c:
        for _ in range(5):
            assert c.get("/leave").status == 200
            ids = [c.open("/x", "POST") for _ in range(10)]
            assert all(c.response(i).status == 200 for i in ids)


# ---- hostile clients ----
def test_nothing_hostile_reaches_a_backend(upstream):
    import h2_hostile_test
    import h2_wire
    with gh.Gateway(gh.simple_files(upstream), workers=1) as g:
        n = 0
        for name, fields, content, trailers in h2_hostile_test.payloads():
            n += 1
            with h2_wire.H2(g.connect().sock) as c:
                c.headers(1, fields, end=content is None, raw=True)
                if content is not None:
                    c.data(1, content, end=trailers is None)
                if trailers:
                    c.headers(1, trailers, end=True, raw=True)
                assert c.outcome(1) in ("reset 1", 400, "closed"), name
                assert upstream.count() == 0, name
        assert n >= 41


def test_a_flood_ends_its_connection_and_no_other(upstream):
    import h2_wire
    with gh.Gateway(gh.simple_files(upstream), workers=1) as g, h2lib.Client(g.port) as other:
        assert other.get("/").status == 200
        with h2_wire.H2(g.connect().sock) as c:
            c.ping()
            statuses = []
            honest = threading.Thread(target=lambda: statuses.extend(other.get("/").status for _ in range(50)))
            honest.start()
            try:
                for k in range(0, 20000, 100):
                    c.send(b"".join(h2_wire.frame(1, 5, 2 * i + 1, h2_wire.literal(h2_wire.request("/hang"))) + h2_wire.rst(2 * i + 1)
                                    for i in range(k, k + 100)))
            except OSError:
                pass
            code = c.ended()
            assert code in (h2_wire.ENHANCE_YOUR_CALM, None) # None: what was sent behind it made the kernel forget it
        honest.join()
        assert statuses == [200] * 50
        assert "too many streams reset" in g.log()
        assert [v for k, v in g.metrics().items() if "h2_budget_reset" in k and v] == [1]
