#!/usr/bin/env python3
"""h2_upstream_test.py - backends that speak HTTP/2, as both sides see it on the wire; one behaviour for each test."""
import os
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from h2_test import accept_of, connect, lower, websocket  # noqa: E402
from h2_wire import *  # noqa: E402,F403
from wire import Backend, Driver, seen  # noqa: E402


class H2Backend(Backend):
    """serve(h2, number) for each connection, behind the prefaces."""

    def __init__(self, serve, first=(), grow=True):
        self.first, self.grow = first, grow
        super().__init__(serve)

    def one(self, peer, number):
        def serve(p, n):
            h = H2(p.sock, client=False, first=self.first, grow=self.grow, start=False)
            h.accept()
            h.start(self.first)
            self.serve(h, n)
        wrapped, real = self.serve, None  # noqa: F841
        try:
            serve(peer, number)
        except (EOFError, OSError):
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.errors.append(e)
        finally:
            peer.close()


def requests(h):
    """Ids of streams, each when its request is complete."""
    known = set()
    while True:
        for i, m in list(h.streams.items()):
            if m.ended and i not in known:
                known.add(i)
                yield i
        h.step()


def answer(h, i, body=b"", status=200, more=(), end=True):
    h.headers(i, [(":status", str(status)), *more], end=end and not body)
    if body:
        h.content(i, body, end)


def echo2(h, n):
    """Answers each request with what it saw."""
    for i in requests(h):
        m = h.streams[i]
        text = "\n".join(f"{k}: {v}" for k, v in m.fields).encode() + b"\n\n" + m.body
        answer(h, i, text, more=[("x-conn", str(n))])


def told(response):
    head, _, body = response[2].partition(b"\n\n")
    return dict(line.split(": ", 1) for line in head.decode().split("\n")), body


def driver(up, **kw):
    return Driver(clusters={"up": f"127.0.0.1:{up.port};h2c=1" + kw.pop("options", "")}, **kw)


class Requests(unittest.TestCase):
    def test_requests_of_http_1_clients_share_one_connection(self):
        with H2Backend(echo2) as up, driver(up) as d:
            d.get("/first")
            peers = [d.connect() for _ in range(30)]
            for i, c in enumerate(peers):
                c.send(f"POST /{i}?q HTTP/1.1\r\nHost: Ex.Ample\r\nX-Mixed: Case\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            for i, c in enumerate(peers):
                f, body = told(c.response())
                self.assertEqual((f[":method"], f[":path"], f[":authority"], f[":scheme"]), ("POST", f"/{i}?q", "Ex.Ample", "http"))
                self.assertEqual((f["x-mixed"], f["te"], body), ("Case", "trailers", b"abc"))
                for name in ("host", "connection", "transfer-encoding"):
                    self.assertNotIn(name, f)
                c.close()
            self.assertEqual(len(up.peers), 1)

    def test_both_sides_speak_http_2(self):
        with H2Backend(echo2) as up, driver(up) as d, connect(d) as c:
            ids = [c.open(f"/{i}", more=[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]) for i in range(50)]
            for n, i in enumerate(ids):
                f, _ = told(c.response(i))
                self.assertEqual((f[":path"], f["cookie"], f["te"]), (f"/{n}", "a=1; b=2", "trailers"))

    def test_content_of_any_size_passes_both_ways(self):
        with H2Backend(echo2) as up, driver(up) as d:
            for size in (0, 1, 16384, 16385, 100000, 3 << 20):
                data = os.urandom(size)
                self.assertEqual(told(d.get(method="POST", body=data))[1], data)

    def test_trailers_interim_answers_and_answers_without_content(self):
        def serve(h, _n):
            for i in requests(h):
                m = h.streams[i]
                path = dict(m.fields)[":path"]
                if path == "/hints":
                    h.headers(i, [(":status", "103"), ("link", "</a>")])
                    answer(h, i, b"ok")
                elif path == "/trailers":
                    h.headers(i, [(":status", "200"), ("content-type", "application/grpc")])
                    h.data(i, b"message")
                    h.headers(i, [("grpc-status", "0"), ("x-got", str(m.trailers))], end=True)
                elif path == "/only":
                    h.headers(i, [(":status", "200"), ("grpc-status", "5")], end=True)
                elif path == "/204":
                    answer(h, i, status=204)
                else:
                    answer(h, i, status=200, more=[("content-length", "77")]) # HEAD
        with H2Backend(serve) as up, driver(up) as d:
            with d.connect() as c:
                c.send("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.head()[0], "HTTP/1.1 103 Early Hints")
                self.assertEqual(c.response()[2], b"ok")
                c.send("POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n")
                self.assertEqual(c.response()[2], b"message")
                self.assertEqual(dict(c.trailers), {"grpc-status": "0", "x-got": "[('x-up', '1')]"})
                c.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.response()[0], 204)
                c.send("HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(lower(c.response("HEAD")[1])["content-length"], "77")
            with connect(d) as c:
                i = c.open("/trailers", "POST", end=False)
                c.data(i, b"q")
                c.headers(i, [("x-up", "1")], end=True)
                self.assertEqual(c.response(i)[2], b"message")
                self.assertEqual(dict(c.stream(i).trailers), {"grpc-status": "0", "x-got": "[('x-up', '1')]"})
                i = c.open("/only")
                self.assertEqual(dict(c.response(i)[1])["grpc-status"], "5")

    def test_a_client_that_leaves_cancels_its_stream_and_no_other(self):
        cancelled = threading.Event()

        def serve(h, _n):
            while True:
                h.step()
                for i, m in list(h.streams.items()):
                    if m.reset is not None:
                        cancelled.set()
                        del h.streams[i]
                    elif m.ended and dict(m.fields)[":path"] == "/quick":
                        answer(h, i, b"ok")
                        del h.streams[i]
        with H2Backend(serve) as up, driver(up) as d:
            with d.connect() as c:
                c.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(d.get("/quick")[2], b"ok")
            self.assertTrue(cancelled.wait(10))
            self.assertEqual(d.get("/quick")[2], b"ok")
            self.assertEqual(len(up.peers), 1)


class Pool(unittest.TestCase):
    def test_the_streams_that_the_backend_allows(self):
        seen_at_once = []

        def serve(h, _n):
            for i in requests(h):
                h.open_now = {k for k, m in h.streams.items() if m.ended} - h.__dict__.setdefault("answered", set())
                seen_at_once.append(len(h.open_now))
                if len(h.open_now) == 2:
                    for k in sorted(h.open_now):
                        answer(h, k, b"ok")
                        h.answered.add(k)
        with H2Backend(serve, first=[(MAX_CONCURRENT_STREAMS, 2)]) as up, driver(up) as d:
            peers = [d.connect() for _ in range(2)]
            for c in peers:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for c in peers:
                self.assertEqual(c.response()[2], b"ok")
            more = [d.connect() for _ in range(8)]
            for c in more:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for c in more:
                self.assertEqual(c.response()[2], b"ok")
                c.close()
            self.assertEqual(max(seen_at_once), 2)
            self.assertEqual(len(up.peers), 4)

    def test_requests_wait_when_there_may_be_no_other_connection(self):
        def serve(h, _n):
            for i in requests(h):
                answer(h, i, b"ok")
        with H2Backend(serve, first=[(MAX_CONCURRENT_STREAMS, 1)]) as up, driver(up, options=";max_connections=1") as d:
            d.get("/")
            peers = [d.connect() for _ in range(20)]
            for c in peers:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for c in peers:
                self.assertEqual(c.response()[2], b"ok")
                c.close()
            self.assertEqual(len(up.peers), 1)

    def test_many_requests_at_once_wait_for_one_connect(self):
        with H2Backend(echo2) as up, driver(up) as d, connect(d) as c:
            ids = [c.open("/") for _ in range(90)]
            for i in ids:
                self.assertEqual(c.response(i)[0], 200)
            self.assertEqual(len(up.peers), 1)

    def test_goaway_sends_later_streams_elsewhere_and_lets_earlier_ones_end(self):
        go = threading.Event()

        def serve(h, n):
            if n > 1:
                echo2(h, n)
                return
            ids = []
            for i in requests(h):
                ids.append(i)
                if len(ids) == 4:
                    break
            h.send(frame(GOAWAY, 0, 0, struct.pack(">II", ids[1], NO_ERROR)))
            go.wait(10)
            for i in ids[:2]:
                answer(h, i, b"old")
            h.rest()
        with H2Backend(serve) as up, driver(up) as d, connect(d) as c:
            ids = [c.open("/", "POST", end=False) for _ in range(4)]
            for i in ids:
                c.data(i, b"x", end=True)
            for i in ids[2:]: # not idempotent, but certainly not looked at
                self.assertEqual(dict(c.response(i)[1])["x-conn"], "2")
            self.assertEqual(dict(c.get("/")[1])["x-conn"], "2")
            go.set()
            for i in ids[:2]:
                self.assertEqual(c.response(i)[2], b"old")
            self.assertEqual(len(up.peers), 2)
            d.until("upstream_active", 1)

    def test_a_refused_stream_is_sent_again(self):
        def serve(h, _n):
            refused = 0
            for i in requests(h):
                if not refused:
                    refused = i
                    h.send(rst(i, REFUSED_STREAM))
                else:
                    answer(h, i, b"second")
        with H2Backend(serve) as up, driver(up) as d:
            self.assertEqual(d.get("/", method="POST", body=b"abc")[2], b"second")

    def test_a_reset_or_a_lost_connection_is_a_502(self):
        def serve(h, n):
            for i in requests(h):
                if n == 1:
                    h.send(rst(i, INTERNAL_ERROR))
                else:
                    return
        with H2Backend(serve) as up, driver(up) as d:
            self.assertEqual(d.get("/", method="POST", body=b"x")[0], 502)
            up.peers[0].close()
            time.sleep(0.1)
            self.assertEqual(d.get("/", method="POST", body=b"x")[0], 502)

    def test_an_idle_connection_that_was_closed_is_not_used(self):
        def serve(h, n):
            for i in requests(h):
                answer(h, i, str(n).encode())
                if n == 1:
                    h.leave()
        with H2Backend(serve) as up, driver(up) as d:
            self.assertEqual(d.get("/", method="POST", body=b"x")[2], b"1")
            d.until("upstream_active", 0)
            self.assertEqual(d.get("/", method="POST", body=b"x")[2], b"2")

    def test_a_backend_that_speaks_http_1_is_a_502(self):
        with Backend(lambda p, _n: (p.more(), p.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))) as up, driver(up) as d:
            self.assertEqual(d.get("/", method="POST", body=b"x")[0], 502)

    def test_nobody_listens(self):
        class Nobody:
            port = 1
        with driver(Nobody) as d:
            self.assertEqual(d.get("/")[0], 503)

    def test_a_reload_touches_no_stream(self):
        go = threading.Event()

        def serve(h, _n):
            for i in requests(h):
                h.headers(i, [(":status", "200")])
                h.data(i, b"ab")
                if len(h.streams) == 5:
                    break
            go.wait(10)
            for i in list(h.streams):
                h.data(i, b"cd", end=True)
            h.rest()
        with H2Backend(serve) as up, driver(up) as d, connect(d) as c:
            ids = [c.open("/") for _ in range(5)]
            c.wait(lambda: all(c.stream(i).body == b"ab" for i in ids))
            for _ in range(10):
                d.reload()
            go.set()
            for i in ids:
                self.assertEqual(c.response(i)[2], b"abcd")
            self.assertEqual(len(up.peers), 1)


class Faults(unittest.TestCase):
    def test_answers_that_are_no_valid_messages(self):
        heads = {
            "no status": [("server", "x")],
            "status of two digits": [(":status", "20")],
            "status twice": [(":status", "200"), (":status", "200")],
            "101": [(":status", "101")],
            "capital": [(":status", "200"), ("Server", "x")],
            "CRLF in a value": [(":status", "200"), ("x", "a\r\nSet-Cookie: b")],
            "NUL in a value": [(":status", "200"), ("x", "a\0b")],
            "connection": [(":status", "200"), ("connection", "close")],
            "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
            "two lengths": [(":status", "200"), ("content-length", "2"), ("content-length", "3")],
            "length of nothing": [(":status", "200"), ("content-length", "5")],
            "pseudo-field of requests": [(":status", "200"), (":path", "/")],
            "interim at the end": [(":status", "103")],
        }
        for name, head in heads.items():
            def serve(h, _n, head=head):
                for i in requests(h):
                    h.headers(i, head, end=True, raw=True)
            with self.subTest(name), H2Backend(serve) as up, driver(up) as d:
                self.assertEqual(d.get("/", method="POST", body=b"x")[0], 502)

    def test_an_answer_with_another_length_than_it_said_is_cut(self):
        for body in (b"abc", b"abcdefgh"):
            def serve(h, _n, body=body):
                for i in requests(h):
                    h.headers(i, [(":status", "200"), ("content-length", "5")])
                    h.data(i, body, end=True)
            with self.subTest(body), H2Backend(serve) as up, driver(up) as d, connect(d) as c:
                self.assertEqual(c.outcome(c.open("/")), f"reset {INTERNAL_ERROR}")

    def test_content_in_an_answer_to_head(self):
        def serve(h, _n):
            for i in requests(h):
                h.headers(i, [(":status", "200")])
                h.data(i, b"abc", end=True)
        with H2Backend(serve) as up, driver(up) as d, connect(d) as c:
            i = c.open("/", "HEAD")
            c.wait(lambda: c.stream(i).status or c.stream(i).reset is not None)
            self.assertEqual(c.stream(i).body, b"")

    def test_backends_that_make_nonsense_without_end(self):
        floods = {"ping": frame(PING, 0, 0, b"12345678"), "settings": settings(), "window": window(0, 1), "unknown": frame(99, 0, 0, b""),
                  "empty": frame(DATA, 0, 1)}
        for name, flood in floods.items():
            def serve(h, _n, flood=flood):
                for i in requests(h):
                    h.headers(i, [(":status", "200")])
                    while True:
                        h.send(flood * 1000)
            with self.subTest(name), H2Backend(serve, grow=False) as up, driver(up) as d, connect(d) as c:
                self.assertEqual(c.outcome(c.open("/")), f"reset {INTERNAL_ERROR}")
                d.until("upstream_active", 0)
                self.assertEqual(d.counters()[f"h2_budget_{name}"], 1)

    def test_a_push_is_a_fault(self):
        def serve(h, _n):
            for i in requests(h):
                h.send(frame(PUSH, END_HEADERS, i, struct.pack(">I", 2) + literal(request())))
        with H2Backend(serve) as up, driver(up) as d:
            self.assertEqual(d.get("/", method="POST", body=b"x")[0], 502)


class Flow(unittest.TestCase):
    def test_the_windows_of_the_backend_are_kept(self):
        most = []

        def serve(h, _n):
            h.wait(lambda: 1 in h.streams and h.streams[1].ended)
            answer(h, 1) # by now it knows them
            h.wait(lambda: 3 in h.streams)
            m = h.streams[3]
            h.wait(lambda: len(m.body) == 1000)
            h.ping()
            most.append(len(m.body))
            h.send(window(3, 1 << 20) + window(0, 1 << 20))
            h.wait(lambda: m.ended)
            answer(h, 3, str(len(m.body)).encode())
            h.rest()
        with H2Backend(serve, first=[(INITIAL_WINDOW_SIZE, 1000)], grow=False) as up, driver(up) as d:
            d.get("/")
            self.assertEqual(d.get("/", method="POST", body=b"x" * 500000)[2], b"500000")
        self.assertEqual(most, [1000])

    def test_an_early_answer_ends_the_upload(self):
        for reset in (None, NO_ERROR):
            def serve(h, _n, reset=reset):
                while True:
                    h.step()
                    for i, m in list(h.streams.items()):
                        if m.body and not m.heads:
                            m.heads.append(1)
                            answer(h, i, b"early", status=413)
                            if reset is not None:
                                h.send(rst(i, reset))
            with self.subTest(reset), H2Backend(serve, grow=False) as up, driver(up) as d:
                with d.connect() as c:
                    c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 10000)
                    self.assertEqual(c.response()[::2], (413, b"early"))
                self.assertEqual(d.get("/", method="POST", body=b"x")[0], 413)
                self.assertEqual(len(up.peers), 1)

    def test_a_slow_client_holds_its_stream_and_no_other(self):
        def serve(h, _n):
            for i in requests(h):
                if dict(h.streams[i].fields)[":path"] != "/big":
                    answer(h, i, b"ok")
                    continue
                h.headers(i, [(":status", "200")])
                sent = 0
                while sent < 5000000:
                    room = min(16384, 5000000 - sent, 65535 + h.windows.get(0, 0) - sent, h.peer_settings.get(INITIAL_WINDOW_SIZE, 65535) + h.windows.get(i, 0) - sent)
                    if room <= 0:
                        break # others are answered
                    h.data(i, b"x" * room)
                    sent += room
        with H2Backend(serve, grow=False) as up, driver(up, settings=("buffer_bytes=65536",)) as d:
            with d.connect() as c:
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
                c.head()
                for _ in range(20):
                    self.assertEqual(d.get("/small")[2], b"ok")
                self.assertEqual(len(up.peers), 1)

    def test_an_answer_is_complete_though_the_backend_closes_before_it_is_taken(self):
        size = 200000

        def serve(h, _n):
            for i in requests(h):
                h.wait(lambda: INITIAL_WINDOW_SIZE in h.peer_settings)
                answer(h, i, b"y" * size)
                h.send(frame(GOAWAY, 0, 0, struct.pack(">II", i, NO_ERROR)))
                h.leave()
        with H2Backend(serve, grow=False) as up, driver(up, settings=("buffer_bytes=65536",)) as d:
            for _ in range(3):
                with d.connect() as c:
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    time.sleep(0.2)
                    self.assertEqual(c.response()[2], b"y" * size)


class Tunnels(unittest.TestCase):
    @staticmethod
    def serve(h, _n):
        while True:
            h.step()
            for i, m in list(h.streams.items()):
                if not m.heads:
                    f = dict(m.fields)
                    assert (f[":method"], f[":protocol"], f[":path"]) == ("CONNECT", "websocket", "/chat"), f
                    assert "sec-websocket-key" not in f and "upgrade" not in f, f
                    m.heads.append(1)
                    h.headers(i, [(":status", "200"), ("sec-websocket-protocol", "chat")])
                if m.body:
                    h.data(i, m.body.upper())
                    m.body = b""
                if m.ended:
                    h.data(i, b"bye", end=True)
                    del h.streams[i]

    KEY = "dGhlIHNhbXBsZSBub25jZQ=="

    def test_a_websocket_of_http_1_reaches_a_backend_of_http_2(self):
        with H2Backend(self.serve, first=[(CONNECT_PROTOCOL, 1)]) as up, driver(up) as d:
            for _ in range(2): # the first one waits for SETTINGS
                with d.connect() as c:
                    c.send(f"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {self.KEY}\r\n\r\n")
                    status, fields, _ = c.response()
                    f = lower(fields)
                    self.assertEqual((status, f["upgrade"], f["sec-websocket-accept"], f["sec-websocket-protocol"]),
                                     (101, "websocket", accept_of(self.KEY), "chat"))
                    c.send("abc")
                    self.assertEqual(c.exactly(3), b"ABC")
                    c.sock.shutdown(socket.SHUT_WR)
                    self.assertEqual(c.rest(), b"bye")
            self.assertEqual(len(up.peers), 1)
            d.until("tunnels_active", 0)

    def test_websockets_over_http_2_on_both_sides(self):
        with H2Backend(self.serve, first=[(CONNECT_PROTOCOL, 1)]) as up, driver(up) as d, connect(d) as c:
            c.headers(1, websocket())
            c.wait(lambda: c.stream(1).status)
            self.assertNotIn("sec-websocket-accept", dict(c.stream(1).fields))
            c.data(1, b"abc")
            c.wait(lambda: c.stream(1).body == b"ABC")
            c.data(1, end=True)
            self.assertEqual(c.response(1)[2], b"ABCbye")

    def test_a_backend_that_makes_no_tunnels(self):
        with H2Backend(echo2) as up, driver(up) as d, connect(d) as c:
            for i in (1, 3):
                c.headers(i, websocket())
                self.assertEqual(c.response(i)[0], 502)
            c.next = 5
            self.assertEqual(c.get("/")[0], 200)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
