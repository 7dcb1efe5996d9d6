#!/usr/bin/env python3
"""h2_tls_test.py - HTTP/2 in TLS, agreed on by ALPN, with clients and with endpoints; one behaviour for each test."""
import os
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tls_test  # noqa: E402
from h2_upstream_test import answer, echo2, requests, told  # noqa: E402
from h2_wire import *  # noqa: E402,F403
from tls_test import TLS12, TLS13, TlsBackend, chain, client, pattern, pki  # noqa: E402
from wire import DEADLINE, Backend, Driver, echo, seen  # noqa: E402

BIG = pattern(2 << 20)


def connect(d, name="a.example.com", version=None, **kw):
    peer = tls_test.connect(d, name, client(version, alpn=["h2", "http/1.1"]))
    assert peer.sock.selected_alpn_protocol() == "h2"
    return H2(peer.sock, **kw)


class H2TlsBackend(TlsBackend):
    """Speaks what ALPN says: HTTP/2 as `serve` does it, HTTP/1.1 as echo does."""

    def __init__(self, serve=echo2, alpn=("h2", "http/1.1"), first=(), **kw):
        def either(peer, number):
            if peer.sock.selected_alpn_protocol() != "h2":
                echo(peer, number)
                return
            h = H2(peer.sock, client=False, start=False)
            try:
                h.accept()
                h.start(first)
                serve(h, number)
            except (EOFError, OSError):
                pass
        super().__init__(either, alpn=alpn, **kw)


def cluster(up, options="", alpn=1):
    return {"up": f"127.0.0.1:{up.port};alpn={alpn};tls_ca={pki('ca.crt')};tls_sni=a.example.com{options}"}


class Clients(unittest.TestCase):
    def test_requests_reach_the_backend_as_of_https(self):
        for version in (TLS12, TLS13):
            with Backend(echo) as up, Driver(*chain("name=*"), up=up) as d, connect(d, version=version) as c:
                ids = range(1, 100, 2)
                for i in ids:
                    c.headers(i, request(f"/{i}", authority="a.example.com", scheme="https"), end=True)
                for i in ids:
                    start, fields, _ = seen(c.response(i))
                    self.assertEqual((start, fields["x-forwarded-proto"]), (f"GET /{i}", "https"))

    def test_content_passes_both_ways(self):
        def serve(p, _n):
            while True:
                _, _, _, body = p.request()
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                p.send(body)
        for version in (TLS12, TLS13):
            with Backend(serve) as up, Driver(*chain("name=*"), up=up) as d, connect(d, version=version) as c:
                for size in (0, 1, 16384, 100001, len(BIG)):
                    i = c.open("/", "POST", end=not size)
                    c.content(i, BIG[:size])
                    self.assertEqual(c.response(i)[2], BIG[:size])
                d.until("buffer_bytes", 0)

    def test_a_reader_who_stops_does_not_hold_other_streams(self):
        def serve(p, _n):
            while True:
                _, target, _, _ = p.request()
                body = BIG if target == "/big" else b"ok"
                p.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                p.send(body)
        first = [(INITIAL_WINDOW_SIZE, 20000)]
        with Backend(serve) as up, Driver(*chain("name=*"), up=up) as d, connect(d, grow=False, first=first) as c:
            slow = c.open("/big")
            c.wait(lambda: len(c.stream(slow).body) == 20000)
            for _ in range(20):
                self.assertEqual(c.get("/")[2], b"ok")
            self.assertEqual(len(c.stream(slow).body), 20000)
            c.grow = True
            c.send(window(0, len(BIG)) + window(slow, len(BIG)))
            self.assertEqual(c.response(slow)[2], BIG)

    def test_the_preface_is_owed_to_what_was_agreed(self):
        with Driver(*chain("name=*"), rules=["prefix=/ direct=200:hello"]) as d:
            with connect(d, start=False) as c:
                c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual(c.ended(), PROTOCOL_ERROR)
            with tls_test.connect(d, context=client(alpn=["http/1.1"])) as c:
                c.send(PREFACE + settings())
                self.assertNotIn(b"HTTP/1.1 200", c.rest())

    def test_a_drain_lets_streams_end_and_closes_with_an_alert(self):
        release = threading.Event()

        def serve(p, _n):
            p.request()
            release.wait(DEADLINE)
            p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        with Backend(serve) as up, Driver(*chain("name=*"), up=up) as d, connect(d) as c:
            i = c.open("/")
            up.accepted.get(timeout=DEADLINE)
            d.order("drain")
            c.wait(lambda: c.goaways)
            release.set()
            self.assertEqual(c.response(i)[2], b"ok")
            c.sock.suppress_ragged_eofs = False # an end without close_notify is an SSLError
            self.assertEqual(c.ended(), NO_ERROR)


class Endpoints(unittest.TestCase):
    def test_alpn_decides_what_is_spoken(self):
        for offer, h2 in ((("h2", "http/1.1"), True), (("http/1.1",), False), (("h2",), True)):
            with H2TlsBackend(alpn=offer) as up, Driver(clusters=cluster(up)) as d:
                for i in range(5):
                    r = d.get(f"/{i}")
                    self.assertEqual(told(r)[0][":path"] if h2 else seen(r)[0].split()[1], f"/{i}")
                self.assertEqual([p.sock.selected_alpn_protocol() for p in up.peers], ["h2" if h2 else "http/1.1"])

    def test_only_what_is_configured_is_offered(self):
        with H2TlsBackend() as up, Driver(clusters=cluster(up, alpn=0)) as d:
            self.assertEqual(seen(d.get("/x"))[0], "GET /x")
            self.assertEqual(up.peers[0].sock.selected_alpn_protocol(), "http/1.1")
        with H2TlsBackend(alpn=("http/1.1",)) as up, Driver(clusters=cluster(up, ";h2c=1")) as d:
            self.assertEqual(d.get("/x")[0], 503)

    def test_many_share_one_connection_once_it_is_known(self):
        with H2TlsBackend() as up, Driver(clusters=cluster(up)) as d:
            d.get("/first")
            peers = [d.connect() for _ in range(30)]
            for i, c in enumerate(peers):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n")
            for i, c in enumerate(peers):
                f, _ = told(c.response())
                self.assertEqual((f[":path"], f[":scheme"]), (f"/{i}", "https"))
                c.close()
            self.assertEqual(len(up.peers), 1)

    def test_a_burst_before_it_is_known_is_served_whole(self):
        for offer in (("h2", "http/1.1"), ("http/1.1",)):
            with H2TlsBackend(alpn=offer, first=[(MAX_CONCURRENT_STREAMS, 10)]) as up, Driver(clusters=cluster(up)) as d:
                peers = [d.connect() for _ in range(30)]
                for i, c in enumerate(peers):
                    c.send(f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n")
                for c in peers:
                    self.assertEqual(c.response()[0], 200)
                    c.close()
                self.assertLessEqual(len(up.peers), 30)

    def test_an_endpoint_that_changes_what_it_speaks_is_followed(self):
        with H2TlsBackend() as up, Driver(clusters=cluster(up)) as d:
            spoken = []
            for offer in (("h2", "http/1.1"), ("http/1.1",), ("h2",)):
                up.context.set_alpn_protocols(list(offer))
                for _ in range(3):
                    self.assertEqual(d.get("/")[0], 200)
                spoken.append(up.peers[-1].sock.selected_alpn_protocol())
                up.peers[-1].sock.shutdown(2)
                d.until("upstream_idle", 0)
            self.assertEqual(spoken, ["h2", "http/1.1", "h2"])

    def test_both_sides_in_tls_with_content_trailers_and_interim_answers(self):
        def serve(h, _n):
            for i in requests(h):
                h.headers(i, [(":status", "103"), ("link", "</a>")])
                h.headers(i, [(":status", "200")])
                h.content(i, h.streams[i].body, end=False)
                h.headers(i, [("grpc-status", "0"), ("x-got", str(h.streams[i].trailers))], end=True)
        with H2TlsBackend(serve) as up, Driver(*chain("name=*"), clusters=cluster(up)) as d, connect(d) as c:
            for size in (1, 50000, len(BIG)):
                i = c.open("/", "POST", end=False)
                c.content(i, BIG[:size], end=False)
                c.headers(i, [("x-up", "1")], end=True)
                self.assertEqual(c.response(i)[2], BIG[:size])
                m = c.stream(i)
                self.assertEqual([dict(h)[":status"] for h in m.heads], ["103", "200"])
                self.assertEqual(dict(m.trailers), {"grpc-status": "0", "x-got": "[('x-up', '1')]"})
            self.assertEqual(len(up.peers), 1)
            d.until("buffer_bytes", 0)

    def test_refused_streams_and_those_behind_a_goaway_are_sent_again(self):
        def serve(h, n):
            for count, i in enumerate(requests(h)):
                if n == 1 and count == 0:
                    h.send(rst(i, REFUSED_STREAM))
                elif n == 1 and count == 2:
                    h.send(frame(GOAWAY, 0, 0, struct.pack(">II", i - 2, NO_ERROR)))
                    h.leave()
                    return
                else:
                    answer(h, i, b"%d" % n)
        with H2TlsBackend(serve) as up, Driver(clusters=cluster(up)) as d:
            self.assertEqual([d.get("/")[2] for _ in range(3)], [b"1", b"2", b"2"])


if __name__ == "__main__":
    unittest.main()
