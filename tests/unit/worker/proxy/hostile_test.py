#!/usr/bin/env python3
"""hostile_test.py - clients and backends that misbehave: what they may cost, and what never happens."""
import fcntl
import os
import select
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


def untaken(sock):
    """Bytes sent that the other side's kernel does not have yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


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


if __name__ == "__main__":
    unittest.main()
