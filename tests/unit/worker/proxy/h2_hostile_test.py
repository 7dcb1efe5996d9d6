#!/usr/bin/env python3
"""h2_hostile_test.py - what HTTP/2 lets a client say that HTTP/1.1 must never hear, and the attacks of RELIABILITY section 6."""
import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from h2_wire import *  # noqa: E402,F403
from wire import Backend, Driver, answers, echo, seen  # noqa: E402

DIRECT = ["prefix=/ direct=200:hello"]


def connect(d, **kw):
    return H2(socket.create_connection(("127.0.0.1", d.port)), **kw)


def payloads():
    """(name, fields, content or None, trailers or None)."""
    post = lambda *more: request("/", "POST", more=more)  # noqa: E731
    yield "length too short", post(("content-length", "3")), b"abcde", None
    yield "length too long", post(("content-length", "9")), b"abcde", None
    yield "length twice", post(("content-length", "5"), ("content-length", "5")), b"abcde", None
    yield "two lengths", post(("content-length", "5"), ("content-length", "6")), b"abcde", None
    yield "list of lengths", post(("content-length", "5, 5")), b"abcde", None
    yield "signed length", post(("content-length", "+5")), b"abcde", None
    yield "length and nothing", post(("content-length", "5")), None, None
    yield "transfer-encoding", post(("transfer-encoding", "chunked")), b"0\r\n\r\n", None
    for what, bad in (("CRLF", "\r\nx: y\r\n"), ("CR", "\r"), ("LF", "\n"), ("NUL", "\0")):
        yield f"{what} in a name", request(more=[(f"a{bad}b", "c")]), None, None
        yield f"{what} in a value", request(more=[("a", f"b{bad}c")]), None, None
        yield f"{what} in the path", request(f"/a{bad}b"), None, None
        yield f"{what} in the method", request(method=f"GE{bad}T"), None, None
        yield f"{what} in the authority", request(authority=f"a{bad}b"), None, None
        yield f"{what} in the scheme", request(scheme=f"http{bad}"), None, None
        yield f"{what} in a trailer", post(), b"abc", [("x", f"a{bad}b")]
    yield "empty name", request(more=[("", "x")]), None, None
    yield "colon in a name", request(more=[("a:b", "x")]), None, None
    yield "space in a name", request(more=[("a ", "x")]), None, None
    yield "capital in a name", request(more=[("Abc", "x")]), None, None
    yield "space before a value", request(more=[("abc", " x")]), None, None
    yield "path empty", request(""), None, None
    yield "path relative", request("abc"), None, None
    yield "path with space", request("/ HTTP/1.1"), None, None
    yield "path with control byte", request("/\x01"), None, None
    yield "path with fragment", request("/a#b"), None, None
    yield "path absolute", request("http://b/"), None, None
    yield "method with space", request(method="GET /admin"), None, None
    yield "method empty", request(method=""), None, None
    yield "authority and another host", request(more=[("host", "b")]), None, None
    yield "host twice", [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a"), ("host", "a")], None, None
    yield "authority with userinfo", request(authority="u@a"), None, None
    yield "no authority", [(":method", "GET"), (":scheme", "http"), (":path", "/")], None, None
    yield "odd scheme", request(scheme="javascript"), None, None
    for name in ("connection", "keep-alive", "proxy-connection", "upgrade"):
        yield name, request(more=[(name, "x")]), None, None
    yield "te: gzip", request(more=[("te", "gzip")]), None, None
    yield "late pseudo-field", [(":method", "GET"), (":scheme", "http"), (":authority", "a"), ("x", "y"), (":path", "/")], None, None
    yield "pseudo-field twice", request() + [(":path", "/b")], None, None
    yield "unknown pseudo-field", [(":x", "y")] + request(), None, None
    yield "pseudo-field of answers", [(":status", "200")] + request(), None, None
    yield "trailers with length", post(), b"abc", [("content-length", "3")]
    yield "trailers with transfer-encoding", post(), b"abc", [("transfer-encoding", "chunked")]
    yield "trailers with host", post(), b"abc", [("host", "b")]
    yield "trailers with a pseudo-field", post(), b"abc", [(":path", "/b")]


class Desync(unittest.TestCase):
    def test_nothing_hostile_reaches_the_backend(self):
        whole = []

        def serve(p, _n):
            while True:
                r = p.request()
                whole.append(r)
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        n = 0
        with Backend(serve) as up, Driver(up=up) as d:
            for name, fields, content, trailers in payloads():
                n += 1
                with connect(d) as c:
                    c.headers(1, fields, end=content is None, raw=True)
                    if content is not None:
                        c.data(1, content, end=trailers is None)
                    if trailers:
                        c.headers(1, trailers, end=True, raw=True)
                    got = c.outcome(1)
                    self.assertIn(got, (f"reset {PROTOCOL_ERROR}", 400, "closed"), name)
                    self.assertEqual(whole, [], name)
                    if got != "closed" and not c.goaways:
                        c.next = 3
                        self.assertEqual(c.get("/")[0], 200, name)
                        whole.clear()
            self.assertGreaterEqual(n, 41)

    def test_names_with_underscores_do_not_pass_for_others(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            fields = seen(c.get("/", more=[("content_length", "5"), ("transfer_encoding", "chunked"), ("my_own", "x")]))[1]
            self.assertFalse([k for k in fields if "_" in k])


class Attacks(unittest.TestCase):
    def flood(self, d, send, limit, counter, first=(), code=ENHANCE_YOUR_CALM, before=None):
        """send(c, i) writes round i; the connection must end, with a counter, before `limit` rounds were read."""
        with connect(d, first=first, grow=False) as c:
            c.ping()
            if before:
                before(c)
            reader = threading.Thread(target=c.ended, daemon=True)
            reader.start()
            rounds = 0
            try:
                while rounds < 50 * limit and reader.is_alive():
                    c.send(b"".join(send(c, rounds + k) for k in range(100)))
                    rounds += 100
            except OSError:
                pass
            reader.join(20)
            self.assertFalse(reader.is_alive())
            if counter:
                self.assertEqual(d.counters()[f"h2_budget_{counter}"], 1)
            d.until("exchanges_active", 0)
            if not c.goaways: # what was sent behind it made the kernel forget it
                return d.counters()["h2_streams"] * 2
            self.assertEqual(c.goaways[-1][1], code)
            return c.goaways[-1][0]

    def get(self, c, i, more=(), end=True, method="GET"):
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 2 * i + 1, literal(request(method=method, more=more)))

    def test_rapid_reset(self):
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d:
            last = self.flood(d, lambda c, i: self.get(c, i) + rst(2 * i + 1), 1000, "reset")
            self.assertLess(last, 2 * 1000)

    def test_streams_that_are_made_to_be_reset(self):
        triggers = {
            "window by nothing": lambda s: window(s, 0),
            "window too large": lambda s: window(s, 0x7fffffff),
            "depends on itself": lambda s: frame(PRIORITY, 0, s, struct.pack(">IB", s, 0)),
            "priority of 4": lambda s: frame(PRIORITY, 0, s, b"1234"),
            "content behind the end": lambda s: frame(DATA, 0, s, b"x"),
            "head behind the end": lambda s: frame(HEADERS, END_HEADERS, s, b"\x82"),
        }
        for name, trigger in triggers.items():
            with self.subTest(name), Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d:
                last = self.flood(d, lambda c, i, t=trigger: self.get(c, i) + t(2 * i + 1), 1000, None)
                self.assertLess(last, 2 * 1000)

    def test_malformed_requests_without_end(self):
        with Driver(rules=DIRECT) as d:
            self.assertLess(self.flood(d, lambda c, i: self.get(c, i, [("Bad", "x")]), 1000, "fault"), 2000)

    def test_continuation_without_end(self):
        with Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: frame(CONTINUATION, 0, 1, b"\x82"), 1000, "head",
                       before=lambda c: c.send(frame(HEADERS, 0, 1, b"\x82")))
        with Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: frame(CONTINUATION, 0, 1), 1000, None, before=lambda c: c.send(frame(HEADERS, 0, 1)))

    def test_a_bomb_of_references(self):
        def bomb(c, i):
            block = literal(request()) if i else literal(request()) + b"\x40" + b"\x06cookie" + b"\x7f\x81\x1e" + b"x" * 4000
            return frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block + b"\xbe" * 12000)
        with Driver(rules=DIRECT) as d:
            self.assertLess(self.flood(d, bomb, 100, "head"), 200)

    def test_heads_that_are_a_little_too_large_have_an_answer_for_a_while(self):
        with Driver(rules=DIRECT) as d, connect(d) as c:
            for _ in range(20):
                self.assertEqual(c.get("/", more=[(f"x{i}", "y") for i in range(120)])[0], 431)
            self.assertEqual(c.get("/")[0], 200)

    def test_changes_of_the_header_table(self):
        with Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, b"\x20\x3f\xe1\x1f" + literal(request())), 1000, "table")

    def test_garbage_in_a_block(self):
        with Driver(rules=DIRECT) as d, connect(d) as c:
            c.ping()
            c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x85\xff\xff\xff\xff\xff\x81\x00"))
            self.assertEqual(c.ended(), COMPRESSION_ERROR)

    def test_windows_of_one_byte(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000

        def before(c):
            ids = [c.open("/") for _ in range(90)]
            c.wait(lambda: all(c.stream(i).body for i in ids))
        with Backend(answers(data)) as up, Driver(up=up) as d:
            self.flood(d, lambda c, i: window(1 + 2 * (i % 90), 1), 10000, "dribble", first=[(INITIAL_WINDOW_SIZE, 1)], before=before)

    def test_floods_of_small_frames(self):
        floods = {
            "ping": lambda c, i: frame(PING, 0, 0, b"12345678"),
            "settings": lambda c, i: settings(),
            "priority": lambda c, i: frame(PRIORITY, 0, 2 * i + 101, struct.pack(">IB", 0, 0)),
            "window": lambda c, i: window(0, 1),
            "unknown": lambda c, i: frame(200, 0, 0, b"x"),
        }
        for kind, send in floods.items():
            with self.subTest(kind), Driver(rules=DIRECT) as d:
                self.flood(d, send, 10000, kind)
        with self.subTest("acknowledged settings"), Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: frame(SETTINGS, ACK, 0), 10000, "settings")
        with self.subTest("priority update"), Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: frame(16, 0, 0, struct.pack(">I", 1) + b"u=1"), 10000, "priority")
        with self.subTest("many settings in each"), Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: settings(*[(INITIAL_WINDOW_SIZE, k) for k in range(2000)]), 1000, "settings")

    def test_empty_frames(self):
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d:
            self.flood(d, lambda c, i: frame(DATA, 0, 1), 10000, "empty", before=lambda c: c.open("/", "POST", end=False))
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d:
            self.flood(d, lambda c, i: frame(DATA, PADDED, 1, b"\x04\0\0\0\0"), 10000, "empty", before=lambda c: c.open("/", "POST", end=False))

    def test_resets_of_streams_that_are_gone(self):
        with Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: rst(1), 1000, "reset", before=lambda c: c.get("/"))

    def test_streams_beyond_the_limit(self):
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up, settings=("max_streams=10",)) as d:
            self.assertLess(self.flood(d, lambda c, i: self.get(c, i), 1000, "refused"), 2 * 1000)

    def test_empty_names(self):
        with Driver(rules=DIRECT) as d:
            self.flood(d, lambda c, i: self.get(c, i, [("", "")] * 50), 1000, "fault")

    def test_settings_that_make_windows_too_large(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000
        with Backend(answers(data)) as up, Driver(up=up) as d, connect(d, grow=False) as c:
            c.open("/")
            c.ping()
            c.send(window(1, 0x7fffffff - 65535) + settings((INITIAL_WINDOW_SIZE, 0x7fffffff)))
            self.assertEqual(c.ended(), FLOW_CONTROL_ERROR)

    def test_stream_numbers_run_out(self):
        with Driver(rules=DIRECT) as d, connect(d) as c:
            c.next = 0x7fffffff
            self.assertEqual(c.get("/")[0], 200)
            self.assertEqual(c.ended(), NO_ERROR)

    def test_more_content_than_the_window(self):
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d, connect(d) as c:
            up.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.open("/", "POST", end=False)
            try:
                for _ in range(2000):
                    c.data(1, b"x" * 16384)
            except OSError:
                pass
            got = c.outcome(1)
            self.assertIn(got, (f"reset {FLOW_CONTROL_ERROR}", f"goaway {FLOW_CONTROL_ERROR}"))

    def test_browsers_that_cancel_lose_no_connection(self):
        """A hundred pages of a hundred images, most of them cancelled by the next click."""
        def serve(p, _n):
            while True:
                p.request()
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage")
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            for _page in range(100):
                c.get("/")
                ids = [c.open(f"/{i}") for i in range(100)]
                c.wait(lambda ids=ids: sum(c.stream(i).ended for i in ids) >= 60)
                c.send(b"".join(rst(i) for i in ids if not c.stream(i).ended))
                for i in ids:
                    c.send(frame(PRIORITY, 0, i, struct.pack(">IB", 0, 15)))
            self.assertEqual(c.get("/")[0], 200)
            self.assertEqual(c.goaways, [])


    def test_people_who_zoom_a_map_with_slow_tiles_lose_no_connection(self):
        with Backend(lambda p, _n: p.rest()) as up, Driver(up=up) as d, connect(d) as c:
            for _ in range(20):
                ids = [c.open(f"/{i}") for i in range(40)]
                c.ping()
                d.until("exchanges_active", 40)
                time.sleep(0.02)  # what makes it a person's cancel is that it comes later
                c.send(b"".join(rst(i) for i in ids))
                d.until("exchanges_active", 0)
            c.ping()
            self.assertEqual(c.goaways, [])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
