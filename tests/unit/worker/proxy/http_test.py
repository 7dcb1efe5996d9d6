#!/usr/bin/env python3
"""http_test.py - the data plane as both sides see it on the wire; one behaviour for each test."""
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import DEADLINE, Backend, Driver, answers, echo, free_port, seen  # noqa: E402

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Connections(unittest.TestCase):
    def test_one_connection_serves_many_requests_over_one_upstream_connection(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            for i in range(50):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[0], f"GET /{i}")
            self.assertEqual(len(up.peers), 1)

    def test_a_client_that_says_nothing_is_accepted_later_and_ends_as_an_idle_one(self):
        with Backend(echo) as up, Driver(up=up, settings=["idle_timeout_ms=300"]) as d, d.connect() as mute:
            self.assertTrue(mute.closed())

    def test_what_comes_behind_the_last_request_does_not_cost_its_answer(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for _ in range(50):
                with d.connect() as c:
                    c.send("GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    c.send("\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertEqual(seen(c.response())[0], "GET /last")
                    self.assertTrue(c.closed())

    def test_a_client_that_leaves_before_a_slow_answer_is_noticed_on_its_first_request(self):
        asked, gone = threading.Event(), threading.Event()

        def serve(p, _n):
            p.request()
            asked.set()
            p.closed()
            gone.set()
        with Backend(serve) as up, Driver(up=up) as d:
            c = d.connect()
            c.send("GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertTrue(asked.wait(DEADLINE))
            c.reset()
            self.assertTrue(gone.wait(DEADLINE))

    def test_pipelined_requests_are_answered_in_order(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(200)))
            for i in range(200):
                self.assertEqual(seen(c.response())[0], f"GET /{i}")

    def test_a_flood_of_pipelined_requests_stops_reading_instead_of_filling_memory(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            many = 5000
            text = "".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\nX: {'x' * 200}\r\n\r\n" for i in range(many))
            sender = threading.Thread(target=c.send, args=(text,))
            sender.start()
            for i in range(many):
                self.assertEqual(seen(c.response())[0], f"GET /{i}")
            sender.join()

    def test_a_request_in_single_bytes_is_the_same_request(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            for byte in b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX-T: 1\r\n\r\n":
                c.send(bytes([byte]))
                time.sleep(0.0005)
            self.assertEqual(seen(c.response())[2], b"abcd")

    def test_an_answer_in_single_bytes_is_the_same_answer(self):
        def serve(p, _n):
            p.request()
            for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n4;x=y\r\nabcd\r\n0\r\nX-T: 1\r\n\r\n":
                p.send(bytes([byte]))
                time.sleep(0.0005)
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            status, fields, body = c.response()
            self.assertEqual((status, body), (200, b"abcd"))
            self.assertIn(("X-A", "b"), fields)
            self.assertEqual(c.trailers, [("X-T", "1")])

    def test_connection_close_is_honoured(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertIn(("Connection", "close"), c.response()[1])
            self.assertTrue(c.closed())

    def test_who_speaks_no_http_at_all_gets_no_answer(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for line in (b"INVALID CONNECTION PREFACE\r\n\r\n", b"EHLO mail.example.com SMTP\r\n"):
                with d.connect() as c:
                    c.send(line)
                    self.assertEqual(c.rest(), b"")
            for line in (b"GET /a b HTTP/1.1\r\n\r\n", b"GET / HTTQ/1.1\r\n\r\n", b"GET\r\n\r\n"):
                with d.connect() as c:
                    c.send(line)
                    self.assertEqual(c.response()[0], 400)

    def test_http_1_0_ends_unless_it_asks_to_stay(self):
        with Backend(echo) as up, Driver(up=up) as d:
            with d.connect() as c:
                c.send("GET / HTTP/1.0\r\n\r\n")
                r = c.response()
                self.assertEqual(seen(r)[1]["host"], f"127.0.0.1:{up.port}")
                self.assertTrue(c.closed())
            with d.connect() as c:
                for _ in range(3):
                    c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                    self.assertIn(("Connection", "keep-alive"), c.response()[1])

    def test_an_http_1_0_client_gets_a_chunked_answer_until_the_end(self):
        with Backend(answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")) as up, Driver(up=up) as d, \
                d.connect() as c:
            c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            status, fields, body = c.response()
            self.assertEqual((status, body), (200, b"abc"))
            self.assertNotIn("transfer-encoding", {k.lower() for k, _ in fields})

    def test_a_half_closed_client_gets_its_answers(self):
        import socket as so
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            c.sock.shutdown(so.SHUT_WR)
            self.assertEqual(seen(c.response())[0], "GET /1")
            self.assertEqual(seen(c.response())[0], "GET /2")
            self.assertTrue(c.closed())

    def test_a_client_that_leaves_cancels_the_upstream_request(self):
        gone = threading.Event()

        def serve(p, _n):
            p.request()
            if p.closed():
                gone.set()
        with Backend(serve) as up, Driver(up=up) as d:
            with d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                up.accepted.get(timeout=DEADLINE)
            self.assertTrue(gone.wait(DEADLINE))
            d.until("exchanges_active", 0)

    def test_a_client_that_resets_in_an_upload_cancels_it_at_once(self):
        begun, gone = threading.Event(), threading.Event()

        def serve(p, _n):
            p.head()
            begun.set()
            p.rest()
            gone.set()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome")
            self.assertTrue(begun.wait(DEADLINE))
            c.reset()
            self.assertTrue(gone.wait(4))


class Bodies(unittest.TestCase):
    def test_bodies_of_any_size_pass_both_ways(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for size in (0, 1, 1000, 16384, 65536, 1 << 20, 5 << 20):
                data = bytes(i * 7 & 255 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)
                self.assertEqual(seen(d.get(method="POST", body=data))[2], data)

    def test_chunked_uploads_of_any_size_pass(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            for size in (1, 5000, 300000):
                data = os.urandom(size)
                c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                for i in range(0, size, 7000):
                    piece = data[i:i + 7000]
                    c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                c.send("0\r\n\r\n")
                self.assertEqual(seen(c.response())[2], data)

    def test_trailers_pass_but_not_forbidden_ones(self):
        got = []

        def serve(p, _n):
            while True:
                p.request()
                got.append(p.trailers)
                p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\nContent-Length: 9\r\n"
                       "x_y: 1\r\n\r\n")
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for _ in range(2):
                c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-check: 1\r\n"
                       "Transfer-Encoding: gzip\r\nHost: b\r\nx_z: 2\r\n\r\n")
                self.assertEqual(c.response()[2], b"abc")
                self.assertEqual(c.trailers, [("x-sum", "6")])
            self.assertEqual(got, [[("x-check", "1")]] * 2)

    def test_an_answer_without_length_ends_with_its_connection_but_not_with_ours(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for _ in range(3):
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.response()[2], b"until the end")

    def test_answers_without_content_leave_the_connection_usable(self):
        for status in (204, 304):
            with Backend(answers(b"HTTP/1.1 %d X\r\nETag: x\r\n\r\n" % status)) as up, Driver(up=up) as d, d.connect() as c:
                for _ in range(3):
                    c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertEqual(c.response()[0], status)
                self.assertEqual(len(up.peers), 1)

    def test_head_has_the_length_and_no_content(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            for _ in range(3):
                c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
                status, fields, _ = c.response("HEAD")
                self.assertEqual(status, 200)
                self.assertGreater(int(dict(fields)["Content-Length"]), 10)
                c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[0], "GET /x")

    def test_100_continue_comes_from_the_upstream(self):
        def serve(p, _n):
            _, fields = p.head()
            assert ("Expect", "100-continue") in fields
            p.send("HTTP/1.1 100 Continue\r\n\r\n")
            body = p.exactly(5)
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertTrue(c.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 "))
            c.send("hello")
            self.assertEqual(c.response()[2], b"hello")

    def test_an_upload_that_was_not_wanted_ends_the_connection(self):
        """Nobody can tell whether a client that got a final answer instead of 100 sends the body."""
        def serve(p, _n):
            p.head()
            p.send("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            status, fields, _ = c.response()
            self.assertEqual(status, 401)
            self.assertIn(("Connection", "close"), fields)

    def test_early_hints_pass_to_1_1_clients_only(self):
        text = (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 3) + OK
        with Backend(answers(text)) as up, Driver(up=up) as d:
            with d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                for _ in range(3):
                    self.assertIn(b"</a.css>", c.until(b"\r\n\r\n"))
                self.assertEqual(c.response()[2], b"ok")
            with d.connect() as c:
                c.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                self.assertTrue(c.until(b"\r\n").startswith(b"HTTP/1.1 200"))

    def test_an_early_answer_arrives_while_the_upload_runs(self):
        def serve(p, _n):
            p.head()
            p.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nsome")
            status, _, body = c.response()
            self.assertEqual((status, body), (403, b"no"))

    def test_a_short_rest_of_an_upload_is_discarded_and_the_connection_lives(self):
        def serve(p, _n):
            while True:
                p.head()
                p.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
                p.rest()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for _ in range(3):
                c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + "x" * 500)
                self.assertEqual(c.response()[0], 403)
                c.send("x" * 500)

    def test_a_slow_reader_pauses_the_upstream(self):
        sent, stalled = [], threading.Event()

        def serve(p, _n):
            p.request()
            n = 256 << 20
            p.send(f"HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n")
            p.sock.settimeout(1)
            try:
                while n > 0:
                    sent.append(p.sock.send(b"x" * 65536))
                    n -= sent[-1]
            except TimeoutError:
                stalled.set()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(stalled.wait(20))
            self.assertLess(sum(sent), 32 << 20)
            self.assertLess(d.counters()["buffer_bytes"], 300 << 10)

    def test_a_slow_upstream_pauses_the_upload(self):
        done = threading.Event()

        def serve(p, _n):
            p.head()
            done.wait(30)
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n")
            c.sock.settimeout(1)
            sent = 0
            with self.assertRaises(TimeoutError):
                while sent < 256 << 20:
                    sent += c.sock.send(b"x" * 65536)
            done.set()
            self.assertLess(sent, 32 << 20)

    def test_much_data_crosses_slowly_read_on_both_sides(self):
        total = 20 << 20
        data = os.urandom(1 << 16)

        def serve(p, _n):
            p.request()
            p.send(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")
            for _ in range(total // len(data)):
                p.send(data)
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            c.head()
            for i in range(total // len(data)):
                self.assertEqual(c.exactly(len(data)), data)
                if i % 64 == 0:
                    time.sleep(0.02)

    def test_bodies_that_are_too_large_get_413(self):
        with Backend(echo) as up, Driver(up=up, settings=["max_body_bytes=1000"]) as d:
            self.assertEqual(d.get(method="POST", body=b"x" * 1000)[0], 200)
            self.assertEqual(d.get(method="POST", body=b"x" * 1001)[0], 413)
            with d.connect() as c:
                c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + "x" * 2048)
                self.assertEqual(c.response()[0], 413)
                self.assertTrue(c.closed())


class Fields(unittest.TestCase):
    def test_hop_by_hop_fields_stop_here(self):
        with Backend(echo) as up, Driver(up=up) as d:
            got = seen(d.get(headers=["Connection: x-private", "X-Private: 1", "Keep-Alive: 5", "Proxy-Connection: x", "TE: gzip",
                                      "X-Public: 2", "Trailer: a", "Upgrade: h2c", "HTTP2-Settings: x"]))[1]
            self.assertEqual(got["x-public"], "2")
            for name in ("x-private", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings", "connection"):
                self.assertNotIn(name, got)

    def test_te_trailers_is_passed_on(self):
        with Backend(echo) as up, Driver(up=up) as d:
            got = seen(d.get(headers=["Connection: TE", "TE: trailers"]))[1]
            self.assertEqual((got["te"], got["connection"]), ("trailers", "TE"))

    def test_forwarding_fields_tell_the_truth(self):
        with Backend(echo) as up, Driver(up=up) as d:
            got = seen(d.get(headers=["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"]))[1]
            self.assertEqual(got["x-forwarded-for"], "6.6.6.6, 127.0.0.1")
            self.assertEqual(got["x-forwarded-proto"], "http")
            self.assertEqual(len(got["x-request-id"]), 36)
            self.assertEqual(seen(d.get(headers=["X-Request-Id: mine"]))[1]["x-request-id"], "mine")

    def test_names_with_underscores_are_dropped_unless_wanted(self):
        with Backend(echo) as up:
            with Driver(up=up) as d:
                self.assertFalse([k for k in seen(d.get(headers=["X_Y: 1", "Content_Length: 4"]))[1] if "_" in k])
            with Driver(up=up, settings=["underscore_headers=1"]) as d:
                got = seen(d.get(headers=["X_Y: 1", "Content_Length: 4"]))[1]
                self.assertEqual([k for k in got if "_" in k], ["x_y"])

    def test_absolute_form_wins_over_host(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET http://a.example.com/abs?q HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
            start, got, _ = seen(c.response())
            self.assertEqual((start, got["host"]), ("GET /abs?q", "a.example.com"))

    def test_options_of_the_server_itself(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(seen(c.response())[0], "OPTIONS *")

    def test_host_is_forwarded_with_its_port(self):
        with Backend(echo) as up, Driver(up=up) as d:
            self.assertEqual(seen(d.get(host="A.Example.com:8080"))[1]["host"], "A.Example.com:8080")

    def test_via_and_forwarded_by_setting(self):
        with Backend(echo) as up, Driver(up=up, settings=["via=1", "forwarded=1"]) as d:
            r = d.get()
            self.assertEqual(seen(r)[1]["via"], "1.1 gatehouse")
            self.assertIn("for=127.0.0.1", seen(r)[1]["forwarded"])
            self.assertEqual(dict((k.lower(), v) for k, v in r[1])["via"], "1.1 gatehouse")

    def test_the_upstream_sees_the_one_canonical_path(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for asked, path in (("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a//b", "/a/b"), ("/%61", "/a"), ("/a%3ab", "/a%3Ab"),
                                ("/a/%2e%2e/b", "/b")):
                self.assertEqual(seen(d.get(asked + "?q=%2f/../x"))[0], f"GET {path}?q=%2f/../x")

    def test_filters_edit_both_heads(self):
        rules = ["prefix=/ cluster=up set=X-Set:%REQ(x-in)%-%PROTOCOL% remove=X-Gone rset=X-Answer:%UPSTREAM_HOST%"]
        with Backend(echo) as up, Driver(up=up, rules=rules) as d:
            r = d.get(headers=["X-In: v", "X-Gone: 1", "X-Set: old"])
            got = seen(r)[1]
            self.assertEqual(got["x-set"], "v-HTTP/1.1")
            self.assertNotIn("x-gone", got)
            self.assertIn(("X-Answer", f"127.0.0.1:{up.port}"), r[1])

    def test_many_and_long_fields_pass(self):
        with Backend(echo) as up, Driver(up=up) as d:
            headers = [f"X-{i}: {'v' * (i * 7 % 500)}" for i in range(90)] + ["Cookie: " + "c" * 12000]
            got = seen(d.get(headers=headers))[1]
            for i in range(90):
                self.assertEqual(got[f"x-{i}"], "v" * (i * 7 % 500))
            self.assertEqual(got["cookie"], "c" * 12000)


REFUSED = [
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 200-maybe\r\n\r\n", 417),
    ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /" + "x" * 20000 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 70000 + "\r\n\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: a\r\n" + "X: 1\r\n" * 101 + "\r\n", 431),
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("GARBAGE\r\n\r\n", 400),
]


class Refusals(unittest.TestCase):
    def test_what_can_be_read_in_two_ways_is_refused(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for text, status in REFUSED:
                with self.subTest(text[:60]), d.connect() as c:
                    c.send(text)
                    got = c.response()
                    self.assertEqual(got[0], status)
                    if status not in (400, ) or "%" not in text.split("\r\n")[0]:
                        self.assertIn(("Connection", "close"), got[1]) if status != 400 else None
            self.assertEqual(len(up.peers), 0)

    def test_nothing_behind_a_bad_request_is_answered(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(c.response()[0], 400)
            self.assertTrue(c.closed())

    def test_a_broken_chunk_after_the_answer_began_cuts_the_connection(self):
        def serve(p, _n):
            p.head()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst")
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            self.assertEqual(c.head()[0], "HTTP/1.1 200 OK")
            c.send("zz\r\n")
            self.assertEqual(c.rest(), b"first")

    def test_a_broken_chunk_before_the_answer_gets_400(self):
        def serve(p, _n):
            p.head()
            p.rest()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(c.response()[0], 400)
            self.assertTrue(c.closed())

    def test_a_client_that_goes_on_sending_can_read_why_it_was_refused(self):
        with Backend(echo) as up, Driver(up=up, settings=["max_body_bytes=1000"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
            for _ in range(30):
                c.send("x" * 10000)
            self.assertEqual(c.response()[0], 413)


class Upgrades(unittest.TestCase):
    ASK = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
    AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

    def agree(self, p, _n):
        _, _, fields, _ = p.request()
        assert ("Connection", "upgrade") in fields and ("Upgrade", "websocket") in fields
        p.send(self.AGREE + b"hello")
        while (data := p.sock.recv(65536)):
            p.send(data.upper())
        p.send("bye")

    def test_a_tunnel_carries_bytes_both_ways_and_each_side_closes_for_itself(self):
        import socket as so
        with Backend(self.agree) as up, Driver(up=up) as d, d.connect() as c:
            c.send(self.ASK)
            status, fields, _ = c.response()
            self.assertEqual(status, 101)
            self.assertIn(("Upgrade", "websocket"), fields)
            self.assertEqual(c.exactly(5), b"hello")
            for text in (b"one", b"x" * 300000, b"three"):
                threading.Thread(target=c.send, args=(text,)).start()
                self.assertEqual(c.exactly(len(text)), text.upper())
            self.assertEqual(d.counters()["tunnels_active"], 1)
            c.sock.shutdown(so.SHUT_WR)
            self.assertEqual(c.rest(), b"bye")
            d.until("tunnels_active", 0)

    def test_bytes_sent_before_the_agreement_are_not_lost(self):
        with Backend(self.agree) as up, Driver(up=up) as d, d.connect() as c:
            c.send(self.ASK + "early")
            self.assertEqual(c.response()[0], 101)
            self.assertEqual(c.exactly(10), b"helloEARLY")

    def test_a_refused_upgrade_is_a_plain_answer_and_the_connection_lives(self):
        with Backend(answers(b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno")) as up, Driver(up=up) as d, d.connect() as c:
            for _ in range(2):
                c.send(self.ASK)
                self.assertEqual(c.response()[2], b"no")

    def test_101_that_nobody_asked_for_is_502(self):
        with Backend(answers(self.AGREE)) as up, Driver(up=up) as d:
            self.assertEqual(d.get()[0], 502)

    def test_an_idle_tunnel_ends(self):
        with Backend(self.agree) as up, Driver(up=up, settings=["tunnel_idle_timeout_ms=300"]) as d, d.connect() as c:
            c.send(self.ASK)
            self.assertEqual(c.response()[0], 101)
            self.assertEqual(c.rest(), b"hello")
            d.until("tunnels_active", 0)

    def test_an_upstream_that_dies_ends_the_tunnel(self):
        def serve(p, _n):
            p.request()
            p.send(self.AGREE)
            p.reset()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send(self.ASK)
            self.assertEqual(c.response()[0], 101)
            self.assertTrue(c.closed())
            d.until("tunnels_active", 0)


class Answers(unittest.TestCase):
    """What an upstream may not say (RELIABILITY 5 H)."""
    BAD = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Hi\r\nContent-Length: 5\r\n\r\nhello" + OK,
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Hi\r\n\r\n" * 40 + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    ]

    def test_an_answer_that_is_not_http_becomes_502_and_its_connection_is_not_used_again(self):
        for text in self.BAD:
            with self.subTest(text[:60]), Backend(answers(text)) as up, Driver(up=up) as d:
                for n in range(2):
                    self.assertEqual(d.get()[0], 502)
                    self.assertEqual(len(up.peers), n + 1)

    def test_surplus_bytes_never_become_the_next_answer(self):
        for tail in (OK, b"x", b"\r\n"):
            def serve(p, _n, tail=tail):
                while True:
                    _, target, _, _ = p.request()
                    body = target.encode()
                    p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) + tail)
            with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
                for i in range(5):
                    c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertEqual(c.response()[2], f"/{i}".encode())
                self.assertEqual(len(up.peers), 5)

    def test_bytes_on_an_idle_connection_poison_it(self):
        def serve(p, _n):
            while True:
                _, target, _, _ = p.request()
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target.encode()))
                time.sleep(0.1)
                p.send(OK)
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for i in range(3):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.response()[2], f"/{i}".encode())
                d.until("upstream_active", 0)

    def test_content_behind_204_or_an_answer_to_head_is_never_the_next_answer(self):
        def serve(p, _n):
            while True:
                method, target, _, _ = p.request()
                if method == "HEAD":
                    p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
                elif target == "/204":
                    p.send(b"HTTP/1.1 204 No\r\nContent-Length: 6\r\n\r\nPOISON")
                else:
                    p.send(OK)
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for ask in ("HEAD /", "GET /204"):
                c.send(f"{ask} HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertIn(c.response("HEAD")[0], (200, 204))
                self.assertEqual(c.response()[2], b"ok")

    def test_an_upstream_that_dies_in_the_body_ends_the_client_connection(self):
        def serve(p, _n):
            p.request()
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(c.rest().endswith(b"only this"))

    def test_a_chunked_answer_that_is_cut_is_not_completed(self):
        def serve(p, _n):
            p.request()
            p.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            data = c.rest()
            self.assertTrue(data.endswith(b"5\r\nhello\r\n"), data)

    def test_a_cut_answer_that_ends_with_the_connection_is_a_reset(self):
        def serve(p, _n):
            p.request()
            p.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        def serve_chunked(p, _n):
            p.request()
            p.send(chunked)
        with Backend(serve_chunked) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.0\r\n\r\n")
            with self.assertRaises(ConnectionResetError):
                while c.more():
                    pass

    def test_an_answer_without_a_complete_head_is_502(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-")
        with Backend(serve) as up, Driver(up=up) as d:
            self.assertEqual(d.get()[0], 502)

    def test_a_large_head_passes_and_a_huge_one_is_502(self):
        with Backend(answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50000 + b"\r\nContent-Length: 2\r\n\r\nok")) as up, Driver(up=up) as d:
            self.assertEqual(len(dict(d.get()[1])["X"]), 50000)
        with Backend(answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\nContent-Length: 2\r\n\r\nok")) as up, Driver(up=up) as d:
            self.assertEqual(d.get()[0], 502)


class Failures(unittest.TestCase):
    def test_nothing_listens_there(self):
        with Driver(clusters={"up": f"127.0.0.1:{free_port()}"}) as d:
            self.assertEqual(d.get()[0], 503)

    def test_the_next_endpoint_is_tried_when_one_is_dead(self):
        with Backend(echo) as up, Driver(clusters={"up": f"127.0.0.1:{free_port()},127.0.0.1:{up.port},127.0.0.1:{free_port()}"}) as d:
            for _ in range(10):
                self.assertEqual(d.get()[0], 200)

    def test_no_endpoints_no_cluster_no_rule(self):
        rules = ["prefix=/empty cluster=up", "prefix=/bad cluster=invalid", "prefix=/none"]
        with Driver(rules=rules) as d:
            self.assertEqual(d.get("/empty")[0::2], (503, b"no healthy upstream"))
            self.assertEqual(d.get("/bad")[0], 500)
            self.assertEqual(d.get("/none")[0], 500)
            self.assertEqual(d.get("/other")[0::2], (404, b""))

    def test_a_stale_connection_costs_no_request(self):
        def serve(p, _n):
            p.request()
            p.send(OK)
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            for i in range(200):
                method = ("GET", "PUT", "POST")[i % 3]
                body = "" if method == "GET" else "Content-Length: 3\r\n"
                c.send(f"{method} / HTTP/1.1\r\nHost: a\r\n{body}\r\n" + ("abc" if body else ""))
                # A POST may be on its way when the connection ends; then nobody knows what became of it.
                self.assertIn(c.response()[0], (200, 502) if method == "POST" else (200,))

    def test_a_request_that_may_have_been_done_is_not_repeated(self):
        def serve(p, number):
            p.request()
            p.send(OK)
            p.request()  # the second one on this connection: read, then gone without a word
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(c.response()[0], 200)
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            self.assertEqual(c.response()[0], 502)
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(c.response()[0], 200)
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # may be repeated by its method
            self.assertEqual(c.response()[0], 200)

    def test_time_limits_of_rules_answer_504(self):
        def serve(p, _n):
            p.request()
            p.closed()
        rules = ["prefix=/r cluster=up request_ms=200", "prefix=/b cluster=up backend_ms=200"]
        with Backend(serve) as up, Driver(up=up, rules=rules) as d:
            for path in ("/r", "/b"):
                self.assertEqual(d.get(path)[0::2], (504, b"upstream request timeout"))

    def test_a_limit_that_ends_in_the_answer_cuts_it(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
            p.closed()
        for rule in ("prefix=/ cluster=up request_ms=200", "prefix=/ cluster=up backend_ms=200"):
            with Backend(serve) as up, Driver(up=up, rules=[rule]) as d, d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertTrue(c.rest().endswith(b"part"))

    def test_the_default_limit_covers_the_head_only(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            for byte in b"slow":
                time.sleep(0.15)
                p.send(bytes([byte]))
            p.closed()
        with Backend(serve) as up, Driver(up=up, settings=["backend_timeout_ms=300"]) as d:
            self.assertEqual(d.get()[2], b"slow")

    def test_a_stream_without_a_byte_ends(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
            p.closed()
        with Backend(serve) as up, Driver(up=up, settings=["stream_idle_timeout_ms=200"]) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(c.rest().endswith(b"part"))

    def test_connects_that_take_too_long(self):
        import socket as so
        full = so.socket()
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fill = []
        for _ in range(4):
            s = so.socket()
            s.setblocking(False)
            s.connect_ex(full.getsockname())
            fill.append(s)
        with Driver(clusters={"up": f"127.0.0.1:{full.getsockname()[1]};connect_ms=200"}) as d:
            self.assertEqual(d.get()[0], 504)
        for s in fill + [full]:
            s.close()


class Retries(unittest.TestCase):
    def test_statuses_are_retried_as_the_rule_says(self):
        def serve(p, _n):
            while True:
                p.request()
                tries.append(1)
                p.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" if len(tries) % 3 else OK)
        for retry, status in (("2:32:503", 200), ("2:32:500", 503), ("1:32:503", 503), ("2:8", 200), ("2:4", 200)):
            tries = []
            with Backend(serve) as up, Driver(up=up, rules=[f"prefix=/ cluster=up retry={retry}"]) as d:
                self.assertEqual(d.get(method="POST", body=b"x" * 40000)[0], status, retry)

    def test_a_body_that_is_too_large_to_keep_is_not_sent_twice(self):
        def serve(p, _n):
            while True:
                p.request()
                p.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        with Backend(serve) as up, Driver(up=up, rules=["prefix=/ cluster=up retry=5:32:503"]) as d:
            self.assertEqual(d.get(method="POST", body=b"x" * 200000)[0], 503)
            self.assertEqual(len(up.peers), 1)

    def test_resets_are_retried_and_end_as_503(self):
        def serve(p, number):
            p.request()
            if number == 3:
                p.send(OK)
        with Backend(serve) as up, Driver(up=up, rules=["prefix=/ cluster=up retry=2:2"]) as d:
            self.assertEqual(d.get(method="POST", body=b"abc")[2], b"ok")
        with Backend(lambda p, n: p.request()) as up, Driver(up=up, rules=["prefix=/ cluster=up retry=2:2"]) as d:
            self.assertEqual(d.get()[0], 503)
            self.assertEqual(len(up.peers), 3)

    def test_a_try_that_takes_too_long_is_retried(self):
        def serve(p, number):
            p.request()
            if number == 2:
                p.send(OK)
            p.closed()
        with Backend(serve) as up, Driver(up=up, rules=["prefix=/ cluster=up retry=2:2 backend_ms=200"]) as d:
            self.assertEqual(d.get()[2], b"ok")
            self.assertEqual(len(up.peers), 2)

    def test_the_time_of_the_request_covers_all_tries(self):
        def serve(p, _n):
            p.request()
            p.closed()
        with Backend(serve) as up, Driver(up=up, rules=["prefix=/ cluster=up retry=100:2 backend_ms=80 request_ms=300"]) as d:
            self.assertEqual(d.get()[0], 504)
            self.assertLess(len(up.peers), 6)


class Balance(unittest.TestCase):
    def test_splits_keep_their_shares_over_short_windows(self):
        with Backend(echo) as a, Backend(answers(OK)) as b, Driver(
                clusters={"a": f"127.0.0.1:{a.port}", "b": f"127.0.0.1:{b.port}"}, rules=["prefix=/ cluster=a*4,b*1"]) as d, d.connect() as c:
            n = 0
            for _ in range(100):
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                n += c.response()[2] == b"ok"
            self.assertIn(n, range(17, 24))

    def test_round_robin_goes_in_turn(self):
        counts = {}

        def count(name):
            def serve(p, _n):
                while True:
                    p.request()
                    counts[name] = counts.get(name, 0) + 1
                    p.send(OK)
            return serve
        with Backend(count(1)) as a, Backend(count(2)) as b, Backend(count(3)) as c3, Driver(
                clusters={"up": ",".join(f"127.0.0.1:{x.port}" for x in (a, b, c3))}) as d, d.connect() as c:
            for _ in range(30):
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                c.response()
            self.assertEqual(counts, {1: 10, 2: 10, 3: 10})

    def test_limits_of_a_cluster_answer_503(self):
        hold = threading.Event()

        def serve(p, _n):
            while True:
                p.request()
                hold.wait(DEADLINE)
                p.send(OK)
        with Backend(serve) as up, Driver(clusters={"up": f"127.0.0.1:{up.port};max_requests=1"}) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            up.accepted.get(timeout=DEADLINE)
            status, fields, _ = d.get()
            self.assertEqual(status, 503)
            self.assertIn(("x-envoy-overloaded", "true"), fields)
            hold.set()
            self.assertEqual(c.response()[0], 200)
            self.assertEqual(d.get()[0], 200)

    def test_requests_beyond_the_connections_of_a_cluster_wait(self):
        def serve(p, _n):
            while True:
                p.request()
                time.sleep(0.02)
                p.send(OK)
        with Backend(serve) as up, Driver(clusters={"up": f"127.0.0.1:{up.port};max_connections=2"}) as d:
            peers = [d.connect() for _ in range(10)]
            for c in peers:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual([c.response()[0] for c in peers], [200] * 10)
            self.assertEqual(len(up.peers), 2)
            for c in peers:
                c.close()


class SlowClients(unittest.TestCase):
    def test_a_slow_head_is_cut_by_an_absolute_timer(self):
        with Backend(echo) as up, Driver(up=up, settings=["header_timeout_ms=500"]) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n")
            begin = time.monotonic()
            while c.silent(0.05):
                c.send("X: 1\r\n")
            self.assertEqual(c.response()[0], 408)
            self.assertLess(time.monotonic() - begin, 3)
            self.assertTrue(c.closed())

    def test_a_slow_body_is_cut(self):
        with Backend(echo) as up, Driver(up=up, settings=["body_grace_ms=1000"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
            while c.silent(0.1):
                c.send("x")
            self.assertEqual(c.response()[0], 408)
            self.assertEqual(d.counters()["timeouts_body"], 1)

    def test_a_body_at_the_minimum_rate_passes(self):
        with Backend(echo) as up, Driver(up=up, settings=["body_grace_ms=1000"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1500\r\n\r\n")
            for _ in range(30):
                c.send("x" * 50)
                time.sleep(0.1)
            self.assertEqual(c.response()[0], 200)

    def test_a_client_that_does_not_read_is_cut(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            while True:
                p.send("x" * 65536)
        with Backend(serve) as up, Driver(up=up, settings=["send_grace_ms=1000"]) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            d.until("timeouts_send", 1)
            d.until("client_active", 0)

    def test_an_idle_connection_ends(self):
        with Backend(echo) as up, Driver(up=up, settings=["idle_timeout_ms=300"]) as d:
            with d.connect() as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                c.response()
                self.assertTrue(c.closed())
            with d.connect() as c:
                self.assertTrue(c.closed())

    def test_pooled_connections_end_after_their_idle_time(self):
        with Backend(echo) as up, Driver(up=up, settings=["upstream_idle_timeout_ms=200"]) as d:
            d.get()
            self.assertEqual(d.counters()["upstream_idle"], 1)
            d.until("upstream_active", 0)


class Change(unittest.TestCase):
    def test_a_reload_touches_no_connection(self):
        with Backend(echo) as up, Driver(up=up) as d, d.connect() as c:
            for i in range(30):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(seen(c.response())[0], f"GET /{i}")
                d.reload()
            self.assertEqual(len(up.peers), 1)

    def test_a_request_ends_on_the_generation_it_began_with(self):
        go = threading.Event()

        def serve(p, _n):
            p.request()
            go.wait(DEADLINE)
            p.send(OK)
            p.closed()
        with Backend(serve) as up, Driver(up=up, log=True) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            up.accepted.get(timeout=DEADLINE)
            for _ in range(3):
                d.reload()
            go.set()
            self.assertEqual(c.response()[0], 200)
            c.close()
            d.close()
            self.assertIn('"generation":1', "".join(d.errors))

    def test_a_drain_finishes_what_runs_and_says_close(self):
        go, asked = threading.Event(), threading.Event()

        def serve(p, _n):
            p.request()
            p.send(OK)
            p.request()
            asked.set()
            go.wait(DEADLINE)
            p.send(OK)
            p.request()
            p.send(OK)
            p.closed()
        with Backend(serve) as up, Driver(up=up, settings=["silent_s=0"]) as d, d.connect() as idle, d.connect() as c, \
                d.connect() as new:
            idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(idle.response()[0], 200)
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(asked.wait(DEADLINE))
            d.order("drain")
            self.assertTrue(idle.closed())
            go.set()
            status, fields, _ = c.response()
            self.assertEqual(status, 200)
            self.assertIn(("Connection", "close"), fields)
            self.assertTrue(c.closed())
            new.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # its first request
            status, fields, _ = new.response()
            self.assertEqual(status, 200)
            self.assertIn(("Connection", "close"), fields)
            self.assertTrue(new.closed())
            self.assertEqual(d.process.wait(DEADLINE), 0)

    def test_a_drain_cuts_what_is_left_at_its_deadline(self):
        def serve(p, _n):
            p.request()
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            up.accepted.get(timeout=DEADLINE)
            d.order("drain")
            self.assertEqual(d.process.wait(DEADLINE), 0)

    def test_it_ends_in_the_middle_of_everything_without_a_leak(self):
        def serve(p, _n):
            p.request()
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
            p.closed()
        with Backend(serve) as up, Driver(up=up) as d:
            peers = [d.connect() for _ in range(20)]
            for i, c in enumerate(peers):
                c.send(["", "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"][i % 4])
            d.until("exchanges_active", 15)
            d.close()


class LocalAnswers(unittest.TestCase):
    def test_redirects_and_direct_answers(self):
        rules = ["prefix=/old redirect=new.example.com rset=X-R:1", "prefix=/tea direct=418:teapot rset=X-R:2"]
        with Driver(rules=rules) as d:
            status, fields, body = d.get("/old/x?q=1")
            self.assertEqual((status, body), (302, b""))
            self.assertIn(("location", f"http://new.example.com:{d.port}/old/x?q=1"), fields)
            self.assertIn(("X-R", "1"), fields)
            status, fields, body = d.get("/tea")
            self.assertEqual((status, body), (418, b"teapot"))
            self.assertIn(("X-R", "2"), fields)
            self.assertEqual(d.get("/tea", method="HEAD")[0], 418)

    def test_local_answers_keep_the_connection_and_the_order(self):
        with Driver(rules=["prefix=/ direct=200:hello"]) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
            for _ in range(500):
                self.assertEqual(c.response()[2], b"hello")
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(c.response()[2], b"hello")
            self.assertEqual(c.response()[2], b"hello")


if __name__ == "__main__":
    unittest.main()
