#!/usr/bin/env python3
"""grpc_wire_test.py - calls of gRPC as both sides see them on the wire: deadlines, retries, limits, pauses."""
import base64
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from h2_test import connect  # noqa: E402
from h2_upstream_test import H2Backend, answer, driver, requests  # noqa: E402
from h2_wire import *  # noqa: E402,F403
from wire import Backend, Driver  # noqa: E402

TYPE = ("content-type", "application/grpc")


def call(c, path="/a.B/C", more=(), end=True, kind=TYPE):
    return c.open(path, "POST", end=end, more=[kind, ("te", "trailers"), *more])


def status_of(c, i):
    """(HTTP status, grpc-status, grpc-message) of an answer that is nothing but a head."""
    status, fields, body = c.response(i)
    f = dict(fields)
    assert body == b"" and len(c.stream(i).heads) == 1 and c.stream(i).trailers is None, (fields, body)
    assert "content-length" not in f
    return status, f.get("grpc-status"), f.get("grpc-message")


def silent(h, _n):
    while True:
        h.step()


def only(*statuses):
    """Answers with these, one for each request, as trailers only; then OK with a message."""
    left = list(statuses)

    def serve(h, _n):
        for i in requests(h):
            if left:
                h.headers(i, [(":status", "200"), TYPE, ("grpc-status", str(left.pop(0)))], end=True)
            else:
                h.headers(i, [(":status", "200"), TYPE])
                h.data(i, b"message")
                h.headers(i, [("grpc-status", "0")], end=True)
    return serve


class Answers(unittest.TestCase):
    def test_local_answers_are_nothing_but_a_head(self):
        rules = ("exact=/direct/d direct=403:no%", "prefix=/dead cluster=dead", "prefix=/bad cluster=invalid")
        with Driver(clusters={"dead": "127.0.0.1:1;h2c=1"}, rules=rules) as d, connect(d) as c:
            self.assertEqual(status_of(c, call(c))[:2], (200, "12"))
            self.assertEqual(status_of(c, call(c, "/direct/d")), (200, "7", "no%25"))
            self.assertEqual(status_of(c, call(c, "/dead/x"))[:2], (200, "14"))
            self.assertEqual(status_of(c, call(c, "/bad/x"))[:2], (200, "14"))
            self.assertEqual(status_of(c, call(c, kind=("content-type", "application/grpc-web+proto")))[:2], (200, "12"))
            self.assertEqual(c.get("/x")[0], 404) # not everybody speaks it

    def test_a_body_over_the_limit_is_resource_exhausted(self):
        with H2Backend(silent) as up, driver(up, settings=("max_body_bytes=1000",)) as d, connect(d) as c:
            i = call(c, end=False)
            c.data(i, b"x" * 2000, end=False)
            self.assertEqual(status_of(c, i)[:2], (200, "8"))


class Time(unittest.TestCase):
    def test_the_deadline_of_the_client_ends_a_call(self):
        with H2Backend(silent) as up, driver(up) as d, connect(d) as c:
            self.assertEqual(status_of(c, call(c, more=[("grpc-timeout", "50m")]))[:2], (200, "4"))
            self.assertEqual(status_of(c, call(c, more=[("grpc-timeout", "1n")]))[:2], (200, "4"))

    def test_the_shorter_of_rule_and_client_decides_and_the_deadline_is_passed_on(self):
        def serve(h, _n):
            for i in requests(h):
                if dict(h.streams[i].fields)[":path"] == "/told/x":
                    h.headers(i, [(":status", "200"), TYPE, ("grpc-status", "0"), ("x-told", dict(h.streams[i].fields)["grpc-timeout"])], end=True)
        rules = ("prefix=/told cluster=up", "prefix=/a cluster=up request_ms=80", "prefix=/b cluster=up request_ms=600000")
        with H2Backend(serve) as up, driver(up, rules=rules) as d, connect(d) as c:
            self.assertEqual(dict(c.response(call(c, "/told/x", [("grpc-timeout", "7S")]))[1])["x-told"], "7S")
            self.assertEqual(status_of(c, call(c, "/a/x", [("grpc-timeout", "10H")]))[:2], (200, "4"))
            self.assertEqual(status_of(c, call(c, "/b/x", [("grpc-timeout", "80m")]))[:2], (200, "4"))

    def test_defaults_do_not_end_a_call_but_a_request(self):
        settings = ("backend_timeout_ms=100", "stream_idle_timeout_ms=150", "body_grace_ms=100", "request_timeout_ms=300")
        with H2Backend(silent) as up, driver(up, settings=settings) as d, connect(d) as c, connect(d) as o:
            i = call(c, end=False)
            for _ in range(10): # what has no answer in time is a request; ten of them take a second
                self.assertEqual(o.get("/slow")[0], 504)
            c.ping()
            m = c.stream(i)
            self.assertFalse(m.ended or m.reset is not None)
            c.headers(i, [("x-last", "1")], end=True)
            c.send(rst(i))
            c.ping()


class Retries(unittest.TestCase):
    RULE = "prefix=/ cluster=up retry=2:%d"

    def test_a_status_that_the_rule_names_is_tried_again(self):
        with H2Backend(only(14, 1)) as up, driver(up, rules=(self.RULE % (1 << 8 | 1 << 12),)) as d, connect(d) as c:
            self.assertEqual(c.response(call(c))[2], b"message")
            self.assertEqual(dict(c.stream(1).trailers), {"grpc-status": "0"})

    def test_other_statuses_and_the_last_try_pass(self):
        with H2Backend(only(13, 14, 14, 14)) as up, driver(up, rules=(self.RULE % (1 << 12),)) as d, connect(d) as c:
            self.assertEqual(status_of(c, call(c))[1], "13")
            self.assertEqual(status_of(c, call(c))[1], "14")
            self.assertEqual(c.response(call(c))[2], b"message")


class Web(unittest.TestCase):
    def test_a_backend_of_http_1_gets_it_as_it_is(self):
        def serve(p, _n):
            head = p.until(b"\r\n\r\n")
            kind = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-type")][0].split(b": ")[1]
            p.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\nContent-Length: %d\r\n\r\n" % len(kind) + kind)
            p.rest()
        with Backend(serve) as up, Driver(clusters={"up": f"127.0.0.1:{up.port}"}) as d, connect(d) as c:
            self.assertEqual(c.response(call(c, kind=("content-type", "application/grpc-web+proto")))[2], b"application/grpc-web+proto")

    def test_an_upload_in_base64_passes_in_pieces_and_a_reset_is_seen(self):
        def serve(h, _n):
            for i in requests(h):
                m = h.streams[i]
                f = dict(m.fields)
                h.headers(i, [(":status", "200"), TYPE])
                h.content(i, m.body, end=False)
                if f[":path"] == "/cut/x":
                    h.send(rst(i, INTERNAL_ERROR))
                else:
                    h.headers(i, [("grpc-status", "0"), ("x-type", f["content-type"]), ("x-te", f["te"])], end=True)
        kind = ("content-type", "application/grpc-web-text")
        with H2Backend(serve) as up, driver(up) as d, connect(d) as c:
            data = os.urandom(100001)
            text = base64.b64encode(data)
            i = c.open("/a/b", "POST", end=False, more=[kind])
            for at in range(0, len(text), 4999):
                c.content(i, text[at:at + 4999], end=at + 4999 >= len(text))
            body = c.response(i)[2]
            got = b"".join(base64.b64decode(body[k:k + 4]) for k in range(0, len(body), 4))
            self.assertEqual(got[:len(data)], data)
            flags, n = struct.unpack(">BI", got[len(data):len(data) + 5])
            trailers = got[len(data) + 5:]
            self.assertEqual((flags, n), (0x80, len(trailers)))
            self.assertEqual(trailers, b"grpc-status: 0\r\nx-type: application/grpc\r\nx-te: trailers\r\n")
            i = c.open("/cut/x", "POST", end=False, more=[kind])
            c.content(i, base64.b64encode(b"abc"), end=True)
            self.assertTrue(c.outcome(i).startswith("reset"))


if __name__ == "__main__":
    unittest.main()
