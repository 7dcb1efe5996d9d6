#!/usr/bin/env python3
"""h2_test.py - HTTP/2 clients as both sides see it on the wire; one behaviour for each test."""
import base64
import hashlib
import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from h2_wire import *  # noqa: E402,F403
from wire import Backend, Driver, answers, echo, seen  # noqa: E402


def connect(d, **kw):
    return H2(socket.create_connection(("127.0.0.1", d.port)), **kw)


def lower(fields):
    return {k.lower(): v for k, v in fields}


class Requests(unittest.TestCase):
    def test_a_request_reaches_the_backend_as_http_1(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            start, fields, body = seen(c.get("/a/b?x=y", more=[("accept", "text/html"), ("cookie", "a=1"), ("cookie", "b=2")]))
            self.assertEqual(start, "GET /a/b?x=y")
            self.assertEqual((fields["host"], fields["accept"], fields["cookie"]), ("a", "text/html", "a=1; b=2"))
            self.assertEqual(body, b"")
            self.assertNotIn("transfer-encoding", fields)
            self.assertNotIn("content-length", fields)

    def test_many_requests_on_one_connection(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            for i in range(300):
                self.assertEqual(seen(c.get(f"/{i}"))[0], f"GET /{i}")
            self.assertEqual(len(up.peers), 1)
            self.assertEqual(d.counters()["h2_streams_active"], 0)

    def test_many_requests_at_a_time(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            ids = [c.open(f"/{i}") for i in range(100)]
            for n, i in enumerate(ids):
                self.assertEqual(seen(c.response(i))[0], f"GET /{n}")

    def test_who_sends_very_many_requests_takes_turns_with_the_others(self):
        with Driver(rules=["prefix=/ direct=200:hello"], settings=["max_streams=4000"]) as d, connect(d) as c:
            self.assertEqual(c.get("/")[2], b"hello")
            before = d.counters()["loop_turns"]
            sent, c.send = [], lambda data: sent.append(data)
            ids = [c.open("/") for _ in range(3000)]
            del c.send
            c.send(b"".join(sent))  # as much as a few reads bring
            for i in ids:
                self.assertEqual(c.response(i)[2], b"hello")
            self.assertGreaterEqual(d.counters()["loop_turns"] - before, 3)
            self.assertEqual(c.get("/")[2], b"hello")

    def test_the_preface_may_come_in_any_pieces_and_http_1_is_still_served(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for cut in (1, 3, 10, 18, 23):
                with connect(d, start=False) as c:
                    c.send(PREFACE[:cut])
                    time.sleep(0.02)
                    c.send(PREFACE[cut:] + settings())
                    self.assertEqual(seen(c.get("/x"))[0], "GET /x")
            with d.connect() as c:
                for piece in ("P", "OST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"):
                    c.send(piece)
                    time.sleep(0.02)
                self.assertEqual(seen(c.response())[0], "POST /p")
            with d.connect() as c: # a method that begins like the preface
                c.send("PRI")
                time.sleep(0.02)
                c.send("NT / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[0], "PRINT /")

    def test_every_byte_for_itself_is_the_same_request(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d, start=False) as c:
            block = literal(request("/x", "POST", more=[("x-a", "b")]))
            for byte in (PREFACE + settings((MAX_FRAME_SIZE, 20000)) + frame(HEADERS, 0, 1, block[:20]) + frame(CONTINUATION, END_HEADERS, 1, block[20:]) +
                         frame(DATA, PADDED, 1, b"\x02abcd\0\0") + frame(DATA, END_STREAM, 1, b"ef")):
                c.send(bytes([byte]))
            start, fields, body = seen(c.response(1))
            self.assertEqual((start, fields["x-a"], body), ("POST /x", "b", b"abcdef"))

    def test_upload_with_and_without_length(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            for n in (0, 1, 1000, 16384, 100000, 1000000):
                data = os.urandom(n)
                for more in ((), (("content-length", str(n)),)):
                    i = c.open("/", "POST", end=False, more=more)
                    c.content(i, data, end=False)
                    c.data(i, end=True)
                    self.assertEqual(seen(c.response(i))[2], data)

    def test_trailers_go_both_ways(self):
        def serve(p, _n):
            _m, _t, fields, body = p.request()
            trailers = ",".join(f"{k}={v}" for k, v in p.trailers)
            p.send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nX-Got: {trailers}\r\n\r\n4\r\n".encode() + body +
                   b"\r\n0\r\nX-T: done\r\ngrpc-status: 0\r\n\r\n")
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            i = c.open("/", "POST", end=False, more=[("te", "trailers")])
            c.data(i, b"abcd")
            c.headers(i, [("x-trailer", "yes")], end=True)
            status, fields, body = c.response(i)
            self.assertEqual((status, body), (200, b"abcd"))
            self.assertEqual(dict(fields)["x-got"], "x-trailer=yes")
            self.assertEqual(c.stream(i).trailers, [("x-t", "done"), ("grpc-status", "0")])

    def test_te_trailers_is_passed_on(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            fields = seen(c.get("/", more=[("te", "trailers")]))[1]
            self.assertEqual((fields["te"], fields["connection"]), ("trailers", "TE"))

    def test_interim_answers_reach_the_client(self):
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        with Backend(answers(hints)) as up, Driver(up=up) as d, connect(d) as c:
            i = c.open("/")
            self.assertEqual(c.response(i)[2], b"ok")
            self.assertEqual([dict(h)[":status"] for h in c.stream(i).heads], ["103", "200"])

        def serve(p, _n):
            p.head()
            p.send("HTTP/1.1 100 Continue\r\n\r\n")
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + p.exactly(3))
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            i = c.open("/", "POST", end=False, more=[("expect", "100-continue"), ("content-length", "3")])
            c.wait(lambda: c.stream(i).status == 100)
            c.data(i, b"abc", end=True)
            self.assertEqual(c.response(i)[2], b"abc")

    def test_answers_without_content(self):
        texts = [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 7\r\n\r\n",
                 b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
        with Backend(answers(*texts)) as up, Driver(up=up) as d, connect(d) as c:
            self.assertEqual(c.get("/")[0], 204)
            status, fields, body = c.get("/")
            self.assertEqual((status, dict(fields)["content-length"], body), (304, "7", b""))
            status, fields, body = c.get("/", method="HEAD")
            self.assertEqual((status, dict(fields)["content-length"], body), (200, "9", b""))

    def test_fields_of_the_connection_do_not_come_back(self):
        text = b"HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
        with Backend(answers(text)) as up, Driver(up=up) as d, connect(d) as c:
            status, fields, body = c.get("/")
            self.assertEqual((status, body), (200, b"ok"))
            self.assertEqual({k for k, _ in fields}, {"x-end", "date"})

    def test_a_post_without_content_says_that_it_has_none(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            self.assertEqual(seen(c.get("/", method="POST"))[1]["content-length"], "0")
            self.assertNotIn("content-length", seen(c.get("/", method="DELETE"))[1])

    def test_large_heads_go_both_ways_in_several_frames(self):
        big = "x" * 30000
        with Backend(answers(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Big: {big}\r\n\r\n".encode())) as up, Driver(up=up) as d, connect(d) as c:
            i = c.next
            c.next += 2
            c.headers(i, request(more=[("x-big", big)]), end=True, raw=True, split=16000)
            status, fields, _ = c.response(i)
            self.assertEqual((status, dict(fields)["x-big"]), (200, big))


def websocket(path="/chat", more=()):
    return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", path),
            ("sec-websocket-version", "13"), *more]


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


class Tunnels(unittest.TestCase):
    @staticmethod
    def upgrade(p, bad=False):
        start, fields = p.head()
        f = lower(fields)
        assert (start, f["upgrade"], f["connection"]) == ("GET /chat HTTP/1.1", "websocket", "upgrade"), (start, fields)
        accept = accept_of(f["sec-websocket-key"] + ("x" if bad else ""))
        p.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
               "Sec-WebSocket-Protocol: chat\r\n\r\n")

    def test_a_websocket_reaches_a_backend_that_speaks_http_1(self):
        def serve(p, _n):
            self.upgrade(p)
            while p.more():
                p.send(p.buffer.upper())
                p.buffer = b""
            p.send(b"bye")
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            c.wait(lambda: c.peer_settings)
            self.assertEqual(c.peer_settings[CONNECT_PROTOCOL], 1)
            c.headers(1, websocket())
            m = c.stream(1)
            c.wait(lambda: m.status)
            self.assertEqual(m.status, 200)
            self.assertEqual([f for f in m.fields if f[0].startswith("sec-")], [("sec-websocket-protocol", "chat")])
            for word in (b"abc", b"def" * 10000):
                m.body = b""
                c.data(1, word[:10000])
                for at in range(10000, len(word), 10000):
                    c.data(1, word[at:at + 10000])
                c.wait(lambda w=word: len(m.body) == len(w))
                self.assertEqual(m.body, word.upper())
            self.assertEqual(d.counters()["tunnels_active"], 1)
            m.body = b""
            c.data(1, end=True) # half-close
            c.wait(lambda: m.ended)
            self.assertEqual(m.body, b"bye")
            self.assertIsNone(m.reset)
            d.until("tunnels_active", 0)
            c.next = 3
            self.assertEqual(d.counters()["h2_streams_active"], 0)

    def test_bytes_that_do_not_wait_for_the_agreement(self):
        def serve(p, _n):
            time.sleep(0.1)
            self.upgrade(p)
            p.send(p.exactly(5))
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            c.headers(1, websocket())
            c.data(1, b"early")
            self.assertEqual(c.response(1)[2], b"early")

    def test_no_agreement(self):
        with Backend(answers(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")) as up, Driver(up=up) as d, connect(d) as c:
            c.headers(1, websocket())
            self.assertEqual(c.response(1)[::2], (403, b"no"))
        with Backend(lambda p, _n: self.upgrade(p, bad=True)) as up, Driver(up=up) as d, connect(d) as c:
            c.headers(1, websocket())
            self.assertEqual(c.response(1)[0], 502)

    def test_a_tunnel_that_is_cancelled_or_cut(self):
        ended = threading.Event()

        def serve(p, n):
            self.upgrade(p)
            if n == 1:
                p.rest()
                ended.set()
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            c.headers(1, websocket())
            c.wait(lambda: c.stream(1).status)
            c.send(rst(1))
            self.assertTrue(ended.wait(10))
            c.headers(3, websocket()) # the backend closes
            c.wait(lambda: c.stream(3).ended or c.stream(3).reset is not None)
            c.data(3, b"", end=True)
            d.until("tunnels_active", 0)


class Faults(unittest.TestCase):
    def test_limits_have_answers(self):
        with Backend(echo) as up, Driver(up=up, settings=("max_fields=20", "max_uri_bytes=300")) as d, connect(d) as c:
            self.assertEqual(c.get("/", more=[(f"x{i}", "y") for i in range(21)])[0], 431)
            self.assertEqual(c.get("/" + "x" * 400)[0], 414)
            self.assertEqual(c.get("/", more=[("expect", "more")])[0], 417)
            self.assertEqual(c.get("/../../x")[0], 400)
            i = c.next
            c.next += 2
            c.headers(i, [(":method", "CONNECT"), (":authority", "a:1")])
            self.assertEqual(c.outcome(i), 405)
            self.assertEqual(c.get("/")[0], 200)

    def test_content_that_is_not_as_long_as_it_says(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            for body, end in ((b"abc", True), (b"abcdefgh", False)):
                i = c.open("/", "POST", end=False, more=[("content-length", "5")])
                c.data(i, body, end=end)
                self.assertEqual(c.outcome(i), f"reset {PROTOCOL_ERROR}")
            self.assertEqual(c.get("/")[0], 200)
            d.until("exchanges_active", 0)

    def test_a_cancelled_request_is_cancelled_upstream(self):
        begun, gone = threading.Event(), threading.Event()

        def serve(p, _n):
            p.head()
            begun.set()
            p.rest()
            gone.set()
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            i = c.open("/")
            self.assertTrue(begun.wait(10))
            c.send(rst(i))
            self.assertTrue(gone.wait(5))
            d.until("exchanges_active", 0)

    def test_a_connection_that_goes_cancels_everything(self):
        gone = []

        def serve(p, _n):
            p.head()
            p.rest()
            gone.append(1)
        with Backend(serve) as up, Driver(up=up) as d:
            with connect(d) as c:
                for _ in range(20):
                    c.open("/")
                for _ in range(20):
                    up.accepted.get(timeout=5)
            d.until("exchanges_active", 0)
            d.until("client_active", 0)
            d.until("h2_active", 0)

    def test_an_answer_cut_short_is_reset(self):
        with Backend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")) as up:
            up.serve = lambda p, n: (p.request(), p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
            with Driver(up=up) as d, connect(d) as c:
                self.assertEqual(c.outcome(c.open("/")), f"reset {INTERNAL_ERROR}")

    def test_no_backend(self):
        with Driver(clusters={"up": ""}) as d, connect(d) as c:
            self.assertEqual(c.get("/")[0], 503)

    def test_a_refused_stream_does_not_disturb_the_table(self):
        with Backend(echo) as up, Driver(up=up, settings=("max_streams=1",)) as d, connect(d) as c:
            i = c.open("/", "POST", end=False, more=[("x-first", "1")])
            for _ in range(3):
                self.assertEqual(c.outcome(c.open("/", more=[("x-one", "abc"), ("x-two", "def")])), f"reset {REFUSED_STREAM}")
            c.data(i, b"z", end=True)
            self.assertEqual(seen(c.response(i))[2], b"z")
            self.assertEqual(seen(c.get("/", more=[("x-one", "abc"), ("x-two", "def")]))[1]["x-two"], "def")


class Early(unittest.TestCase):
    def test_an_answer_before_the_end_of_the_upload(self):
        with Driver(rules=["prefix=/ direct=200:hello"]) as d, connect(d) as c:
            i = c.open("/", "POST", end=False) # short: it may end in peace
            c.wait(lambda: c.stream(i).ended)
            c.data(i, b"x" * 1000, end=True)
            c.ping()
            self.assertIsNone(c.stream(i).reset)
            i = c.open("/", "POST", end=False) # long: it need not be sent
            c.wait(lambda: c.stream(i).ended)
            for _ in range(5):
                c.data(i, b"x" * 16384)
            c.wait(lambda: c.stream(i).reset is not None)
            self.assertEqual(c.stream(i).reset, NO_ERROR)
            c.data(i, b"on its way")
            i = c.open("/", "POST", end=False) # never: neither
            c.wait(lambda: c.stream(i).reset is not None)
            self.assertEqual((c.stream(i).status, c.stream(i).reset), (200, NO_ERROR))
            self.assertEqual(c.get("/")[0], 200)


class Flow(unittest.TestCase):
    def test_the_windows_of_the_client_are_kept(self):
        size = 300000
        data = os.urandom(size)
        with Backend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, data))) as up, Driver(up=up) as d, \
                connect(d, first=[(INITIAL_WINDOW_SIZE, 1000)], grow=False) as c:
            i = c.open("/")
            m = c.stream(i)
            c.wait(lambda: len(m.body) == 1000)
            c.ping()
            self.assertEqual(len(m.body), 1000)
            c.send(window(i, 500))
            c.wait(lambda: len(m.body) == 1500)
            c.send(settings((INITIAL_WINDOW_SIZE, 100000)))
            c.wait(lambda: len(m.body) == 65535) # the connection's
            c.ping()
            c.send(window(0, 1 << 20) + settings((INITIAL_WINDOW_SIZE, 10)))
            c.wait(lambda: len(m.body) == 100500 or c.acks == 3)
            c.send(window(i, 1 << 20))
            c.wait(lambda: m.ended)
            self.assertEqual(m.body, data)

    def test_windows_that_become_negative(self):
        data = os.urandom(50000)
        with Backend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + data)) as up, Driver(up=up) as d, \
                connect(d, first=[(INITIAL_WINDOW_SIZE, 30000)], grow=False) as c:
            i = c.open("/")
            m = c.stream(i)
            c.wait(lambda: len(m.body) == 30000)
            c.send(settings((INITIAL_WINDOW_SIZE, 0)) + window(i, 29999))
            c.ping()
            c.send(window(i, 10))
            c.wait(lambda: len(m.body) == 30009)
            c.send(window(i, 50000))
            c.wait(lambda: m.ended)
            self.assertEqual(m.body, data)

    def test_a_slow_upload_does_not_stop_others(self):
        stop = threading.Event()

        def serve(p, n):
            start, fields = p.head()
            if "/slow" in start:
                stop.wait(20)
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                p.rest()
            else:
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + p.exactly(int(lower(fields)["content-length"]))[:2])
        with Backend(serve) as up, Driver(up=up, settings=("buffer_bytes=65536",)) as d, connect(d) as c:
            up.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.wait(lambda: c.peer_settings)
            slow = [c.open("/slow", "POST", end=False) for _ in range(4)]
            for i in slow: # a whole window each, which nobody takes
                c.content(i, b"x" * 262144, end=False)
            i = c.open("/fast", "POST", end=False, more=[("content-length", "2000000")])
            c.content(i, b"y" * 2000000)
            self.assertEqual(c.response(i)[2], b"yy")
            stop.set()
            for i in slow:
                self.assertEqual(c.response(i)[0], 200)

    def test_a_slow_upload_is_held_back(self):
        go = threading.Event()

        def serve(p, _n):
            p.head()
            go.wait(20)
            total = len(p.chunked()[0])
            p.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(str(total))}\r\n\r\n{total}".encode())
        with Backend(serve) as up, Driver(up=up, settings=("buffer_bytes=65536",)) as d, connect(d) as c:
            up.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.wait(lambda: c.peer_settings)
            i = c.open("/", "POST", end=False)
            sent, quiet = 0, 0
            while quiet < 3: # as much as the windows allow
                room = min(16384, 65535 + c.windows.get(0, 0) - sent, c.peer_settings[INITIAL_WINDOW_SIZE] + c.windows.get(i, 0) - sent)
                if room <= 0:
                    before = dict(c.windows)
                    c.ping()
                    quiet = quiet + 1 if c.windows == before else 0
                    time.sleep(0.05)
                    continue
                c.data(i, b"y" * room)
                sent += room
            self.assertLess(sent, 16 << 20)
            go.set()
            c.data(i, end=True) if c.windows.get(i, 0) >= 0 else None
            self.assertEqual(c.response(i)[2], str(sent).encode())

    def test_small_answers_do_not_wait_for_a_large_one(self):
        def serve(p, _n):
            while True:
                _m, target, _f, _b = p.request()
                if target == "/big":
                    p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000000)
                else:
                    p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with Backend(serve) as up, Driver(up=up) as d, connect(d, first=[(INITIAL_WINDOW_SIZE, 0x7fffffff)]) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send(window(0, 0x7fff0000 - 65535))
            c.grow = False
            big = c.open("/big")
            c.wait(lambda: len(c.stream(big).body) > 1000000)
            for _ in range(20):
                before = len(c.stream(big).body)
                self.assertEqual(c.get("/small")[2], b"ok")
                self.assertLess(len(c.stream(big).body) - before, 12 << 20)
            self.assertFalse(c.stream(big).ended)

    def test_streams_take_turns(self):
        size = 3000000
        with Backend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)) as up, Driver(up=up) as d, \
                connect(d, first=[(INITIAL_WINDOW_SIZE, 0x7fffffff)], grow=False) as c:
            c.send(window(0, 0x7fff0000 - 65535))
            ids = [c.open("/") for _ in range(8)]
            c.wait(lambda: c.stream(ids[0]).ended)
            for i in ids[1:]:
                self.assertGreater(len(c.stream(i).body), 65536)
            for i in ids:
                self.assertEqual(len(c.response(i)[2]), size)

    def test_an_answer_to_a_client_that_does_not_read_holds_no_memory(self):
        def serve(p, _n):
            p.request()
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                p.send(b"x" * 100000)
        with Backend(serve) as up, Driver(up=up) as d, connect(d, first=[(INITIAL_WINDOW_SIZE, 0x7fffffff)]) as c:
            c.send(window(0, 0x7fff0000 - 65535))
            for _ in range(50):
                c.open("/")
            time.sleep(0.5)
            self.assertLess(d.counters()["buffer_bytes"], 8 << 20)


class End(unittest.TestCase):
    def test_goaway_in_two_steps(self):
        release = threading.Event()

        def serve(p, _n):
            while True:
                _m, target, _f, _b = p.request()
                if target == "/slow":
                    release.wait(20)
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            slow = c.open("/slow")
            c.ping()
            d.order("drain")
            # a request that was under way when the first GOAWAY was written
            kind, flags, stream, payload = None, None, None, b""
            while kind != GOAWAY:
                kind, flags, stream, payload = c.raw_frame()
            self.assertEqual(payload[:8], struct.pack(">II", 0x7fffffff, NO_ERROR))
            late = c.open("/late")
            self.assertEqual(c.response(late)[0], 200)
            c.wait(lambda: c.goaways)
            self.assertEqual(c.goaways[0][:2], (late, NO_ERROR))
            ignored = c.open("/ignored")
            release.set()
            self.assertEqual(c.response(slow)[0], 200)
            self.assertEqual(c.ended(), NO_ERROR)
            self.assertIsNone(c.stream(ignored).status)
            c.close()
            self.assertEqual(d.process.wait(15), 0)

    def test_an_idle_connection_ends_at_a_drain(self):
        with Backend(echo) as up, Driver(up=up) as d, connect(d) as c:
            c.get("/")
            d.order("drain")
            self.assertEqual(c.ended(), NO_ERROR)
            self.assertEqual([g[0] for g in c.goaways], [0x7fffffff, 1])
            c.close()
            self.assertEqual(d.process.wait(15), 0)

    def test_a_limit_of_requests_per_connection(self):
        with Backend(echo) as up, Driver(up=up, settings=("max_requests_per_connection=3",)) as d, connect(d) as c:
            for _ in range(3):
                self.assertEqual(c.get("/")[0], 200)
            self.assertEqual(c.ended(), NO_ERROR)

    def test_idle_connections_end(self):
        with Backend(echo) as up, Driver(up=up, settings=("idle_timeout_ms=300",)) as d, connect(d) as c:
            c.get("/")
            self.assertEqual(c.ended(), NO_ERROR)
            d.until("closed_idle", 1)

    def test_a_reload_touches_no_stream(self):
        go = threading.Event()

        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            go.wait(20)
            p.send(b"2\r\ncd\r\n0\r\n\r\n")
        with Backend(serve) as up, Driver(up=up) as d, connect(d) as c:
            ids = [c.open("/") for _ in range(10)]
            c.wait(lambda: all(c.stream(i).body == b"ab" for i in ids))
            for _ in range(20):
                d.reload()
            go.set()
            for i in ids:
                self.assertEqual(c.response(i)[2], b"abcd")
            self.assertEqual(c.goaways, [])

    def test_it_ends_in_the_middle_of_everything_without_a_leak(self):
        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 1000000)
            p.rest()
        with Backend(serve) as up, Driver(up=up) as d, connect(d, first=[(INITIAL_WINDOW_SIZE, 1000)], grow=False) as c:
            for i in range(20):
                c.open("/", "POST", end=i % 2 == 0)
            c.send(frame(HEADERS, 0, c.next, b"\x82"))
            d.until("exchanges_active", 21)
            d.close()


class Slow(unittest.TestCase):
    QUICK = ("header_timeout_ms=700", "body_grace_ms=700", "send_grace_ms=700")

    def test_slow_clients_are_cut(self):
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000
        with Backend(answers(data)) as up, Driver(up=up, settings=self.QUICK) as d:
            with connect(d, start=False) as c: # half a preface
                c.send(PREFACE[:10])
                self.assertTrue(c.closed(5))
            with connect(d, start=False) as c: # and no SETTINGS
                c.send(PREFACE)
                while c.more():
                    pass
            with connect(d) as c: # a head that does not end
                c.ping()
                c.send(frame(HEADERS, 0, 1, b"\x82"))
                self.assertEqual(c.ended(), ENHANCE_YOUR_CALM)
            with connect(d) as c: # a body that does not come
                i = c.open("/", "POST", end=False)
                self.assertEqual(c.outcome(i), 408)
            with connect(d, first=[(INITIAL_WINDOW_SIZE, 10)], grow=False) as c: # a window that stays shut
                i = c.open("/")
                c.wait(lambda: c.stream(i).reset is not None)
                self.assertEqual(c.stream(i).reset, CANCEL)
                self.assertEqual(len(c.stream(i).body), 10)
            self.assertGreaterEqual(d.counters()["timeouts_header"], 3)
            self.assertEqual(d.counters()["timeouts_body"], 1)
            self.assertEqual(d.counters()["timeouts_send"], 1)

    def test_a_connection_that_takes_nothing_is_cut(self):
        def serve(p, _n):
            p.request()
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100000000)
        with Backend(serve) as up, Driver(up=up, settings=self.QUICK) as d, connect(d, first=[(INITIAL_WINDOW_SIZE, 0x7fffffff)], grow=False) as c:
            c.send(window(0, 0x7fff0000 - 65535))
            c.open("/")
            d.until("client_active", 0)
            self.assertEqual(d.counters()["timeouts_send"], 1)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
