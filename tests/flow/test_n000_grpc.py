"""gRPC with the clients and servers that people have: grpcio on both sides, and gRPC-Web as browsers send it."""
import base64
import concurrent.futures
import json
import struct
import threading

import pytest

import gh

grpc = pytest.importorskip("grpc")

CERTS = gh.TOP / "tests/certs"
LIMIT = gh.DEADLINE


def route(name="calls", rules="- backendRefs: [{name: up, port: 80}]", parent="edge"):
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{name: {name}, namespace: default}}\nspec:\n"
            f"  parentRefs: [{{name: {parent}}}]\n  rules:\n" + "".join(f"  {line}\n" for line in rules.strip("\n").split("\n")))


class Server(grpc.GenericRpcHandler):
    """Methods of /test.Echo. What it is asked for, it remembers."""

    def __init__(self):
        self.cancelled, self.seen, self.calls = threading.Semaphore(0), [], 0
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(160), handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.listen()
        self.server.start()

    def listen(self):
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        kind = {"Unary": grpc.unary_unary_rpc_method_handler, "Down": grpc.unary_stream_rpc_method_handler,
                "Up": grpc.stream_unary_rpc_method_handler, "Both": grpc.stream_stream_rpc_method_handler,
                "Quiet": grpc.stream_stream_rpc_method_handler, "Fails": grpc.unary_unary_rpc_method_handler,
                "Hangs": grpc.unary_unary_rpc_method_handler}.get(name)
        return kind and kind(getattr(self, name.lower()))

    def note(self, context):
        self.calls += 1
        self.seen.append(dict(context.invocation_metadata()))

    def unary(self, request, context):
        self.note(context)
        context.send_initial_metadata((("x-first", "head"),))
        context.set_trailing_metadata((("x-last", "trailer"), ("x_last", "2"), ("x-last-bin", b"\0\xff")))
        return request

    def down(self, request, context):
        self.note(context)
        for i in range(int(request)):
            yield b"%d" % i

    def up(self, requests, context):
        self.note(context)
        return b"%d" % sum(len(r) for r in requests)

    def both(self, requests, context):
        self.note(context)
        for r in requests:
            yield r

    def quiet(self, requests, context):
        """Its head goes out with the first message, which waits for the first of the client."""
        self.note(context)
        context.add_callback(self.cancelled.release)
        for r in requests:
            yield b"got " + r

    def fails(self, request, context):
        self.note(context)
        context.abort(grpc.StatusCode.NOT_FOUND, "nothing: \u00e9 100%")

    def hangs(self, request, context):
        self.note(context)
        done = threading.Event()
        context.add_callback(lambda: (done.set(), self.cancelled.release()))
        done.wait(3 * LIMIT)
        return b""

    def close(self):
        self.server.stop(0).wait(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def server():
    with Server() as s:
        yield s


def files(*servers, rules=None):
    return {"gateway.yaml": gh.gateway_yaml(), "route.yaml": route(**({"rules": rules} if rules else {})),
            "service.yaml": gh.service_yaml("up", *[s.port for s in servers])}


@pytest.fixture
def served(server):
    with gh.Gateway(files(server)) as g:
        yield g


def channel(port):
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)])


def unary(c, name="/test.Echo/Unary"):
    return c.unary_unary(name)


def failure(call, *args, **kw):
    with pytest.raises(grpc.RpcError) as e:
        call(*args, timeout=kw.pop("timeout", LIMIT), **kw)
    return e.value


class Feed:
    """Messages of a stream, one at a time."""

    def __init__(self):
        self.items, self.more, self.done = [], threading.Condition(), False

    def put(self, item):
        with self.more:
            self.items.append(item)
            self.more.notify()

    def end(self):
        with self.more:
            self.done = True
            self.more.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self.more:
            while not self.items:
                if self.done:
                    raise StopIteration
                self.more.wait(1)
            return self.items.pop(0)


def records(g, wanted):
    """Lines of the access log; waits for `wanted` of them."""
    def find():
        lines = [json.loads(x) for x in g.access_log.read_text().splitlines()] if g.access_log.exists() else []
        return lines if len(lines) >= wanted else None
    return gh.eventually(find, f"{wanted} lines of the access log", LIMIT)


def kinds_of_calls(c, server):
    answer, call = unary(c).with_call(b"message", timeout=LIMIT, metadata=(("x-mine", "1"), ("x_mine", "2"), ("x-mine-bin", b"\1\2")))
    assert answer == b"message"
    assert dict(call.initial_metadata())["x-first"] == "head"
    trailers = dict(call.trailing_metadata())
    assert trailers["x-last"] == "trailer" and trailers["x_last"] == "2" and trailers["x-last-bin"] == b"\0\xff"
    assert server.seen[-1]["x-mine"] == "1" and server.seen[-1]["x_mine"] == "2" and server.seen[-1]["x-mine-bin"] == b"\1\2"
    assert list(c.unary_stream("/test.Echo/Down")(b"1000", timeout=LIMIT)) == [b"%d" % i for i in range(1000)]
    assert c.stream_unary("/test.Echo/Up")(iter([b"x" * 60000] * 100), timeout=LIMIT) == b"6000000"
    feed = Feed()
    answers = c.stream_stream("/test.Echo/Both")(feed, timeout=LIMIT)
    for i in range(50):
        feed.put(b"%d" % i)
        assert next(answers) == b"%d" % i
    feed.end()
    assert list(answers) == []
    assert unary(c)(b"y" * 3000000, timeout=LIMIT) == b"y" * 3000000


def test_calls_of_every_kind_pass_with_metadata_and_trailers(served, server):
    with channel(served.port) as c:
        kinds_of_calls(c, server)
        e = failure(unary(c, "/test.Echo/Fails"), b"")
        assert e.code() == grpc.StatusCode.NOT_FOUND and e.details() == "nothing: \u00e9 100%"
        e = failure(unary(c, "/test.Echo/Missing"), b"")
        assert e.code() == grpc.StatusCode.UNIMPLEMENTED
    lines = records(served, 7)
    assert [(r["status"], r["grpc_status"]) for r in lines] == [(200, 0)] * 5 + [(200, 5), (200, 12)]
    m = served.metrics()
    calls = {k.split('grpc_status="')[1].split('"')[0]: v for k, v in m.items() if k.startswith("gatehouse_route_grpc_calls_total")}
    assert calls == {"OK": 5, "NOT_FOUND": 1, "UNIMPLEMENTED": 1}, calls


def test_calls_pass_in_tls(server):
    def secret(name, cert):
        data = {k: base64.b64encode((CERTS / f).read_bytes()).decode() for k, f in (("tls.crt", f"{cert}.pem"), ("tls.key", f"{cert}.key.pem"))}
        return json.dumps({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name}, "data": data})
    gateway = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: https, port: {port}, protocol: HTTPS, tls: {certificateRefs: [{name: pair}]}}
"""
    with gh.Gateway({**files(server), "gateway.yaml": gateway, "pair.yaml": secret("pair", "ecdsa")}) as g:
        roots = grpc.ssl_channel_credentials((CERTS / "ca.pem").read_bytes())
        options = [("grpc.ssl_target_name_override", "a.example.com"), ("grpc.enable_http_proxy", 0)]
        with grpc.secure_channel(f"127.0.0.1:{g.port}", roots, options=options) as c:
            kinds_of_calls(c, server)


def test_what_the_gateway_answers_is_a_status_of_grpc(server):
    rules = ("- matches: [{method: {service: test.Echo, method: Unary}}]\n  backendRefs: [{name: up, port: 80}]\n"
             "- matches: [{method: {service: test.Nobody}}]\n  backendRefs: [{name: nobody, port: 80}]\n"
             "- matches: [{method: {service: test.Dead}}]\n  backendRefs: [{name: dead, port: 80}]\n"
             "- matches: [{method: {service: test.Absent}}]\n  backendRefs: [{name: absent, port: 80}]\n")
    more = {"nobody.yaml": gh.service_yaml("nobody"), "dead.yaml": gh.service_yaml("dead", gh.free_port())}
    with gh.Gateway({**files(server, rules=rules), **more}) as g, channel(g.port) as c:
        assert unary(c)(b"1", timeout=LIMIT) == b"1"
        wanted = {"/test.Echo/Other": (grpc.StatusCode.UNIMPLEMENTED, "no_route"), "/test.Nobody/X": (grpc.StatusCode.UNAVAILABLE, "no_endpoints"),
                  "/test.Dead/X": (grpc.StatusCode.UNAVAILABLE, "connect_failed"), "/test.Absent/X": (grpc.StatusCode.UNAVAILABLE, "invalid_backend")}
        for name, (code, _) in wanted.items():
            e = failure(unary(c, name), b"")
            assert e.code() == code and e.details(), (name, e)
        assert [(r["status"], r["grpc_status"], r["reason"]) for r in records(g, 5)[1:]] == \
            [(200, code.value[0], reason) for code, reason in wanted.values()]
        # HTTP/1.1 that says it is gRPC gets such an answer, too, and goes on with its connection.
        with g.connect() as h:
            for _ in range(2):
                h.send("POST /none/None HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\n\r\n")
                status, headers, body = h.response()
                fields = dict(headers)
                assert (status, fields["content-type"], fields["grpc-status"], body) == (200, "application/grpc", "12", b"")


def test_the_clients_deadline_ends_the_call_on_both_sides(served, server):
    with channel(served.port) as c:
        e = failure(unary(c, "/test.Echo/Hangs"), b"", timeout=0.5)
        assert e.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.cancelled.acquire(timeout=LIMIT)


def test_a_deadline_that_nobody_else_keeps_is_kept_by_the_gateway(served, server):
    with served.connect() as h:
        h.send("POST /test.Echo/Hangs HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\ngrpc-timeout: 300m\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0")
        fields = dict(h.response()[1])
        assert fields["grpc-status"] == "4", fields
    assert records(served, 1)[0]["reason"] in ("request_timeout", None) # the backend keeps it, too


def test_a_cancelled_call_is_cancelled_at_the_server(served, server):
    with channel(served.port) as c:
        feed = Feed()
        answers = c.stream_stream("/test.Echo/Quiet")(feed)
        feed.put(b"1")
        assert next(answers) == b"got 1"
        answers.cancel()
        assert server.cancelled.acquire(timeout=LIMIT)
        feed.end()


def test_a_stream_may_rest_longer_than_any_timeout_of_requests(server):
    settings = "timeouts: {bodyGrace: 200ms, backend: 300ms, streamIdle: 400ms, sendGrace: 200ms, request: 500ms}\n"
    with gh.Gateway(files(server), settings=settings) as g, channel(g.port) as c:
        feed, other = Feed(), c.unary_unary("/test.Echo/Unary")
        answers = c.stream_stream("/test.Echo/Quiet")(feed, timeout=LIMIT)
        # What time passes is seen by calls that reach their own deadline, one after the other.
        for _ in range(3):
            assert failure(unary(c, "/test.Echo/Hangs"), b"", timeout=1.0).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        feed.put(b"late")
        assert next(answers) == b"got late"
        assert failure(unary(c, "/test.Echo/Hangs"), b"", timeout=1.5).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        feed.put(b"later")
        assert next(answers) == b"got later"
        feed.end()
        assert list(answers) == [] and other(b"z", timeout=LIMIT) == b"z"


def test_a_hundred_streams_live_over_twenty_reloads(served, server):
    with contextlib_channels(served.port, 4) as channels:
        streams = []
        for i in range(100):
            feed = Feed()
            streams.append((feed, channels[i % 4].stream_stream("/test.Echo/Both")(feed, timeout=3 * LIMIT)))
            feed.put(b"first")
        for _, answers in streams:
            assert next(answers) == b"first"
        for n in range(20):
            served.write("route.yaml", route(rules=f"- name: r{n}\n  backendRefs: [{{name: up, port: 80}}]"))
            served.reload()
            for feed, answers in streams[n::20]:
                feed.put(b"%d" % n)
                assert next(answers) == b"%d" % n
            assert unary(channels[n % 4])(b"new", timeout=LIMIT) == b"new"
        for feed, answers in streams:
            feed.put(b"last")
            feed.end()
            assert list(answers) == [b"last"]


class contextlib_channels:
    def __init__(self, port, n):
        # grpcio joins channels with the same arguments to one connection.
        self.all = [grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0), ("test.number", i)]) for i in range(n)]

    def __enter__(self):
        return self.all

    def __exit__(self, *_):
        for c in self.all:
            c.close()


# ---- gRPC-Web ----
def frame(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def frames(data):
    found = []
    while data:
        flags, n = struct.unpack(">BI", data[:5])
        found.append((flags, data[5:5 + n]))
        data = data[5 + n:]
    return found


def web(g, method, body, kind="application/grpc-web+proto", accept=None, chunks=None):
    headers = {"Content-Type": kind, "X-Grpc-Web": "1", **({"Accept": accept} if accept else {})}
    status, fields, data = g.get(method, method="POST", headers=headers, body=iter(chunks) if chunks else body)
    return status, fields, data


def pieces(data):
    """Base64 in padded pieces."""
    return b"".join(base64.b64decode(data[i:i + 4]) for i in range(0, len(data), 4))


def trailers_of(data):
    return dict(line.split(": ", 1) for line in data.decode("latin-1").split("\r\n") if line)


def test_browsers_speak_grpc_web_to_a_server_of_grpc(served, server):
    status, fields, data = web(served, "/test.Echo/Unary", frame(b"hello"))
    assert (status, fields["content-type"], fields["x-first"]) == (200, "application/grpc-web+proto", "head")
    (f0, message), (f1, trailers) = frames(data)
    assert (f0, message, f1) == (0, b"hello", 0x80)
    assert trailers_of(trailers)["grpc-status"] == "0" and trailers_of(trailers)["x-last"] == "trailer"
    assert server.seen[-1]["x-grpc-web"] == "1"
    # A stream of messages, in base64 both ways, with the request in pieces.
    text = base64.b64encode(frame(b"300"))
    status, fields, data = web(served, "/test.Echo/Down", None, "application/grpc-web-text", chunks=[text[:3], text[3:5], text[5:]])
    assert (status, fields["content-type"]) == (200, "application/grpc-web-text")
    *messages, (last, trailers) = frames(pieces(data))
    assert [m for _, m in messages] == [b"%d" % i for i in range(300)] and last == 0x80
    assert trailers_of(trailers)["grpc-status"] == "0"
    # A message larger than any buffer.
    big = bytes(range(256)) * 8192
    status, fields, data = web(served, "/test.Echo/Unary", base64.b64encode(frame(big)), "application/grpc-web-text+proto")
    assert frames(pieces(data))[0] == (0, big)
    # The answer's form is what Accept says.
    status, fields, data = web(served, "/test.Echo/Unary", frame(b"x"), accept="application/grpc-web-text")
    assert fields["content-type"] == "application/grpc-web-text+proto" and frames(pieces(data))[0] == (0, b"x")


def test_grpc_web_hears_of_failures(served, server):
    status, fields, data = web(served, "/test.Echo/Fails", frame(b""))
    said = fields if "grpc-status" in fields else trailers_of(frames(data)[-1][1])
    assert (status, said["grpc-status"], said["grpc-message"]) == (200, "5", "nothing: %C3%A9 100%25")
    status, fields, data = web(served, "/test.Echo/Unary", b"AAAA*AAA", "application/grpc-web-text")
    assert (status, fields["grpc-status"], fields["content-type"]) == (200, "13", "application/grpc-web-text")
    status, fields, data = web(served, "/test.Echo/Unary", b"AAA", "application/grpc-web-text")
    assert (status, fields["grpc-status"]) == (200, "13")
    served.write("service.yaml", gh.service_yaml("up"))
    served.reload()
    status, fields, data = web(served, "/test.Echo/Unary", frame(b""))
    assert (status, fields["grpc-status"], fields["content-type"], data) == (200, "14", "application/grpc-web+proto", b"")
