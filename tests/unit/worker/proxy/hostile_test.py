#!/usr/bin/env python3
"""hostile_test.py - clients and backends that misbehave: what they may cost, and what never happens."""
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import DEADLINE, Backend, Driver, answers, echo, seen  # noqa: E402

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def resident(driver):
    """Bytes of memory that the worker holds."""
    with open(f"/proc/{driver.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flood(peer, data, quiet=0.5):
    """Sends until nobody has taken a byte for a while, or never will; what is left."""
    peer.sock.setblocking(False)
    try:
        while data and select.select([], [peer.sock], [], quiet)[1]:
            data = data[peer.sock.send(data[:65536]):]
    except ConnectionError:
        pass
    finally:
        peer.sock.settimeout(DEADLINE)
    return data


def calm(driver):
    """Waits until no request begins any more."""
    before, now = -1, driver.counters()["requests"]
    while now != before:
        time.sleep(0.3)
        before, now = now, driver.counters()["requests"]


def stop(driver):
    """The worker does nothing from now on: it has been seen to have stopped."""
    os.kill(driver.process.pid, signal.SIGSTOP)
    end = time.monotonic() + DEADLINE
    while True:
        with open(f"/proc/{driver.process.pid}/stat", encoding="ascii") as f:
            if f.read().rsplit(")", 1)[1].split()[0] == "T":
                return
        assert time.monotonic() < end, "the worker does not stop"


def untaken(sock):
    """Bytes sent that the other side's kernel does not have yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


class UnixBackend(Backend):
    def __init__(self, serve):
        self.where = tempfile.TemporaryDirectory()
        self.address = f"unix:{self.where.name}/up"
        super().__init__(serve)

    def listen(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.address[5:])
        listener.listen()
        return listener

    def close(self):
        super().close()
        self.where.cleanup()


class Greedy(unittest.TestCase):
    """Answers that nobody reads."""

    def check(self, driver, many, size):
        with driver.connect() as c:
            before = resident(driver)
            rest = flood(c, GET.encode() * many)
            calm(driver)
            self.assertLess(resident(driver) - before, 40 << 20)
            sender = threading.Thread(target=c.send, args=(rest,))
            sender.start()
            for _ in range(many):
                self.assertEqual(len(c.response()[2]), size)
            sender.join()

    def test_requests_wait_while_local_answers_are_not_taken(self):
        with Driver(rules=["prefix=/ direct=200:" + "x" * 100000]) as d:
            self.check(d, 3000, 100000)

    def test_requests_wait_while_proxied_answers_are_not_taken(self):
        body = b"y" * 50000
        with Backend(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + body)) as up, Driver(up=up) as d:
            self.check(d, 3000, 50000)

    def test_a_client_that_floods_and_takes_nothing_is_cut(self):
        with Driver(rules=["prefix=/ direct=200:" + "x" * 100000], settings=["send_grace_ms=1000"]) as d, d.connect() as c:
            flood(c, GET.encode() * 3000)
            d.until("timeouts_send", 1)
            d.until("client_active", 0)


class Lingering(unittest.TestCase):
    """Connections that have their answer and stay."""

    def test_a_client_that_was_too_slow_and_stays_is_closed(self):
        with Backend(echo) as up, Driver(up=up, settings=["body_grace_ms=1000"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n")
            self.assertEqual(c.response()[0], 408)
            d.until("client_active", 0)

    def test_the_rest_of_an_answered_upload_has_a_deadline(self):
        with Driver(rules=["prefix=/ direct=200:hello"], settings=["body_grace_ms=1000"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nbegin")
            self.assertEqual(c.response()[2], b"hello")
            d.until("client_active", 0)

    def test_the_rest_of_an_answered_upload_may_come(self):
        with Driver(rules=["prefix=/ direct=200:hello"]) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\nbegin")
            self.assertEqual(c.response()[2], b"hello")
            c.send("x" * 59995 + GET)
            self.assertEqual(c.response()[2], b"hello")


class Crowd(unittest.TestCase):
    """More clients want something at a time than can be served soon."""

    CLIENTS, LEAVE = 400, 40

    def ask_all(self, d, leave, path="/"):
        """All ask while the worker does nothing, and some have left, in some way, when it goes on. The clients."""
        clients = [d.connect() for _ in range(self.CLIENTS)]
        d.until("client_active", self.CLIENTS)
        stop(d)
        for c in clients:
            c.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        for c in clients[:self.LEAVE]:
            leave(c)
        os.kill(d.process.pid, signal.SIGCONT)
        return clients

    def test_all_that_stay_get_their_answers_and_who_has_left_is_not_worked_for(self):
        asked = []

        def serve(p, _n):
            while True:
                p.request()
                asked.append(1)
                p.send(OK)
        with Backend(serve) as up, Driver(up=up) as d:
            clients = self.ask_all(d, lambda c: c.close())
            for c in clients[self.LEAVE:]:
                self.assertEqual(c.response()[2], b"ok")
            d.until("client_active", self.CLIENTS - self.LEAVE)
            self.assertEqual(d.counters()["client_abandoned"], self.LEAVE)
            self.assertEqual(len(asked), self.CLIENTS - self.LEAVE)
            for c in clients:
                c.close()

    def test_a_client_that_has_only_closed_its_side_is_answered_while_there_is_no_crowd(self):
        with Backend(answers(OK)) as up, Driver(up=up) as d, d.connect() as c:
            stop(d)
            c.send(GET)
            c.sock.shutdown(socket.SHUT_WR)
            os.kill(d.process.pid, signal.SIGCONT)
            self.assertEqual(c.response()[2], b"ok")
            self.assertEqual(d.counters()["client_abandoned"], 0)

    def test_clients_that_leave_without_a_request_are_not_counted(self):
        with Driver(rules=["prefix=/ direct=200:ok"]) as d:
            clients = self.ask_all(d, lambda c: None)
            for c in clients:
                self.assertEqual(c.response()[2], b"ok")
            stop(d)
            for c in clients:
                c.close()
            os.kill(d.process.pid, signal.SIGCONT)
            d.until("client_active", 0)
            self.assertEqual(d.counters()["client_abandoned"], 0)


class Pool(unittest.TestCase):
    def test_requests_wait_for_connections_of_a_pool_that_keeps_none(self):
        with Backend(answers(OK)) as up, Driver(clusters={"up": f"127.0.0.1:{up.port};max_connections=1"},
                                                settings=["upstream_pool_idle=0"]) as d:
            peers = [d.connect() for _ in range(10)]
            for c in peers:
                c.send(GET)
            try:
                self.assertEqual([c.response()[0] for c in peers], [200] * 10)
            finally:
                for c in peers:
                    c.close()

    def test_a_request_that_was_read_is_not_repeated_after_a_reset(self):
        bodies = []

        def serve(p, _n):
            p.request()
            p.send(OK)
            bodies.append(p.request()[3])  # read, done, and then an end without a word
            p.reset()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send(GET)
            self.assertEqual(c.response()[0], 200)
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            self.assertEqual(c.response()[0], 502)
            self.assertEqual(bodies, [b"abc"])

    def test_a_request_without_host_has_one_behind_a_unix_socket(self):
        with UnixBackend(echo) as up, Driver(clusters={"up": up.address}) as d, d.connect() as c:
            c.send("GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(seen(c.response())[1]["host"], "localhost")


class LastWords(unittest.TestCase):
    """An answer that came counts, whatever the connection does behind it."""

    def test_an_early_answer_is_passed_on_though_the_upload_breaks(self):
        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge")
        with Backend(serve) as up, Driver(up=up) as d:
            for _ in range(30):
                with d.connect() as c:
                    c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n\r\n")
                    flood(c, b"x" * 3000000, 0)
                    self.assertEqual(c.response()[0::2], (413, b"large"))

    def test_an_answer_that_waits_for_its_client_survives_a_reset(self):
        size = 600000

        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size)
            end = time.monotonic() + DEADLINE
            while untaken(p.sock) and time.monotonic() < end:
                time.sleep(0.01)
            p.reset()
            done.set()
        done = threading.Event()
        with Backend(serve) as up, Driver(up=up, settings=["buffer_bytes=65536"]) as d, d.connect() as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
            self.assertTrue(done.wait(DEADLINE))
            self.assertEqual(len(c.response()[2]), size)

    def test_content_until_the_end_is_cut_by_a_reset(self):
        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 200 OK\r\n\r\npart")
            go.wait(DEADLINE)
            p.reset()
        go = threading.Event()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
            self.assertIn(("Transfer-Encoding", "chunked"), c.head()[1])
            self.assertEqual(c.until(b"part\r\n"), b"4\r\npart\r\n")
            go.set()
            flood(c, b"x" * 3000000, 0.1)
            self.assertEqual(c.rest(), b"")

    def test_content_until_the_end_passes_from_a_unix_socket(self):
        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        with UnixBackend(serve) as up, Driver(clusters={"up": up.address}) as d:
            self.assertEqual(d.get()[2], b"all of it")

    def test_a_tunnel_ends_when_its_backend_is_gone(self):
        def serve(p, _n):
            p.head()
            p.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            p.sock.shutdown(socket.SHUT_WR)
            go.wait(DEADLINE)
            p.reset()
        go = threading.Event()
        with Backend(serve) as up, Driver(up=up) as d, d.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            self.assertEqual(c.head()[0].split()[1], "101")
            flood(c, b"x" * 30000000)
            go.set()
            d.until("tunnels_active", 0)


class Messages(unittest.TestCase):
    def test_an_answer_without_date_gets_one(self):
        mine = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
        with Backend(answers(OK, mine)) as up, Driver(up=up) as d, d.connect() as c:
            c.send(GET)
            dates = [v for k, v in c.response()[1] if k.lower() == "date"]
            self.assertEqual(len(dates), 1)
            self.assertRegex(dates[0], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
            c.send(GET)
            self.assertEqual([v for k, v in c.response()[1] if k.lower() == "date"], ["Thu, 01 Jan 1970 00:00:00 GMT"])

    def test_max_forwards_counts_down(self):
        with Backend(echo) as up, Driver(up=up) as d:
            for method in ("OPTIONS", "TRACE"):
                self.assertEqual(seen(d.get("/", method=method, headers=["Max-Forwards: 7"]))[1]["max-forwards"], "6")
            self.assertEqual(seen(d.get("/", headers=["Max-Forwards: 7"]))[1]["max-forwards"], "7")
            status, fields, body = d.get("/", method="OPTIONS", headers=["Max-Forwards: 0"])
            self.assertEqual((status, body), (200, b""))
            self.assertIn("GET", {k.lower(): v for k, v in fields}["allow"])
            self.assertEqual(d.get("/", method="TRACE", headers=["Max-Forwards: 0"])[0], 405)
            self.assertEqual(len(up.peers), 1)


if __name__ == "__main__":
    unittest.main()
