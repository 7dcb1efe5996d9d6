#!/usr/bin/env python3
"""datagram_test.py - UDP through the data plane, as both sides see it; one behaviour for each test."""
import json
import os
import random
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import DEADLINE, Driver  # noqa: E402

RULE = ("cluster=up",)


class Server:
    """Answers each datagram with answer(data, source), which may be None or a list; remembers who asked."""

    def __init__(self, answer=lambda data, _: data, port=0, host="127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind((host, port))
        self.port = self.sock.getsockname()[1]
        self.answer = answer
        self.sources = []
        self.n = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                data, source = self.sock.recvfrom(65536)
            except OSError:
                return
            if data == b"stop":
                return
            if source not in self.sources:
                self.sources.append(source)
            self.n += 1
            out = self.answer(data, source)
            for one in out if isinstance(out, list) else [] if out is None else [out]:
                self.sock.sendto(one, source)

    def close(self):
        if self.thread.is_alive():
            with socket.socket(self.sock.family, socket.SOCK_DGRAM) as s:
                s.sendto(b"stop", self.sock.getsockname())
            self.thread.join(DEADLINE)
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def client(port, host="127.0.0.1", timeout=DEADLINE):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    s.connect((host, port))
    return s


def ask(s, data):
    s.send(data)
    return s.recv(65536)


def asked_until(s, data, want=None):
    """Datagrams may be lost while things change: asks again until somebody answers (with `want`)."""
    end = time.monotonic() + DEADLINE
    s.settimeout(0.2)
    while time.monotonic() < end:
        try:
            got = ask(s, data)
            if want is None or got == want:
                return got
        except (TimeoutError, ConnectionRefusedError):
            pass
    raise TimeoutError


def silent(s, data, seconds=0.3):
    s.send(data)
    s.settimeout(seconds)
    try:
        s.recv(65536)
        return False
    except TimeoutError:
        return True
    finally:
        s.settimeout(DEADLINE)


def lines(driver):
    return [json.loads(text) for text in driver.errors if text.startswith("{")]


class Datagrams(unittest.TestCase):
    def test_a_question_is_answered(self):
        with Server() as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            self.assertEqual(ask(c, b"hello"), b"hello")

    def test_datagrams_keep_their_borders_and_sizes(self):
        with Server() as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            for n in (0, 1, 512, 1472, 1473, 9000, 30000, 65507):
                data = random.Random(n).randbytes(n)
                self.assertEqual(ask(c, data), data)

    def test_a_burst_of_one_client_arrives_in_order(self):
        with Server() as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            for i in range(100):
                c.send(b"%d" % i)
            self.assertEqual([int(c.recv(100)) for _ in range(100)], list(range(100)))
            self.assertEqual(len(up.sources), 1)

    def test_many_answers_to_one_question(self):
        with Server(lambda d, _: [b"%d" % i for i in range(50)]) as up, Driver(up=up, udp=RULE) as d, \
                client(d.udp[0]) as c:
            c.send(b"x")
            self.assertEqual([int(c.recv(100)) for _ in range(50)], list(range(50)))

    def test_every_client_has_a_flow_of_its_own(self):
        with Server(lambda d, source: b"%d" % source[1]) as up, Driver(up=up, udp=RULE) as d:
            many = [client(d.udp[0]) for _ in range(50)]
            first = [ask(c, b"who") for c in many]
            self.assertEqual(len(set(first)), 50)
            self.assertEqual([ask(c, b"who") for c in many], first)
            self.assertEqual(d.counters()["flows"], 50)
            self.assertEqual(d.counters()["flows_active"], 50)
            for c in many:
                c.close()

    def test_questions_at_a_high_rate_from_ever_new_ports(self):
        with Server(lambda d, _: d[::-1]) as up, Driver(up=up, udp=RULE, settings=["udp_flows=64"]) as d:
            for i in range(500):
                with client(d.udp[0]) as c:
                    self.assertEqual(ask(c, b"q%03d" % i), (b"q%03d" % i)[::-1])
            got = d.counters()  # a port may come twice
            self.assertEqual((got["flows_active"], got["flows"] - got["flows_evicted"]), (64, 64))
            self.assertGreater(got["flows"], 400)

    def test_answers_come_from_the_address_that_was_asked(self):
        for bound, hosts in (("0.0.0.0", ["127.0.0.1", "127.0.0.2", "127.9.9.9"]),
                             ("::", ["127.0.0.1", "127.0.0.3", "::1"])):
            with Server() as up, Driver(up=up, udp=(f"cluster=up address={bound}",)) as d:
                for host in hosts:
                    with client(d.udp[0], host) as c:  # connected: it hears nobody else
                        self.assertEqual(ask(c, b"x"), b"x")

    def test_one_client_that_asks_two_addresses_has_two_flows(self):
        with Server() as up, Driver(up=up, udp=("cluster=up address=::",)) as d:
            c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            c.settimeout(DEADLINE)
            for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
                c.sendto(b"x", (host, d.udp[0]))
                self.assertEqual(c.recvfrom(10), (b"x", (host, d.udp[0])))
            self.assertEqual(d.counters()["flows"], 2)
            c.close()

    def test_an_endpoint_with_an_ipv6_address(self):
        with Server(host="::1") as up, Driver(udp=RULE, clusters={"up": f"::1:{up.port}"}) as d, \
                client(d.udp[0]) as c:
            self.assertEqual(ask(c, b"six"), b"six")

    def test_only_the_endpoint_can_answer(self):
        with Server(lambda d, _: None) as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            c.send(b"x")
            end = time.monotonic() + DEADLINE
            while not up.sources and time.monotonic() < end:
                time.sleep(0.01)
            stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stranger.bind(("127.0.0.1", 0))
            stranger.sendto(b"false", up.sources[0])
            up.sock.sendto(b"true", up.sources[0])
            self.assertEqual(c.recv(10), b"true")
            stranger.close()

    def test_several_sockets_of_one_address(self):
        with Server() as up, Driver(up=up, udp=("cluster=up sockets=4",)) as d:
            for i in range(100):
                with client(d.udp[0]) as c:
                    self.assertEqual(ask(c, b"%d" % i), b"%d" % i)


class Choice(unittest.TestCase):
    def test_weights_hold_over_five_hundred_flows(self):
        with Server(lambda d, _: b"a") as a, Server(lambda d, _: b"b") as b, \
                Driver(udp=("cluster=a*80,b*20",), clusters={"a": f"127.0.0.1:{a.port}", "b": f"127.0.0.1:{b.port}"}) as d:
            got = b""
            for _ in range(500):
                with client(d.udp[0]) as c:
                    got += ask(c, b"x")
            self.assertTrue(375 <= got.count(b"a") <= 425, got.count(b"a"))

    def test_a_flow_keeps_its_backend(self):
        with Server(lambda d, _: b"a") as a, Server(lambda d, _: b"b") as b, \
                Driver(udp=("cluster=a,b",), clusters={"a": f"127.0.0.1:{a.port}", "b": f"127.0.0.1:{b.port}"}) as d:
            for _ in range(10):
                with client(d.udp[0]) as c:
                    self.assertEqual(len({ask(c, b"x") for _ in range(10)}), 1)

    def test_the_share_of_an_invalid_backend_is_dropped(self):
        with Server() as up, Driver(up=up, udp=("cluster=up*1,invalid*1",), log=True) as d:
            many = [client(d.udp[0]) for _ in range(40)]
            for c in many:
                c.send(b"x")
            d.until("datagrams_in", 40)
            dropped = d.counters()["datagrams_dropped"]
            self.assertTrue(17 <= dropped <= 23, dropped)
            d.until("datagrams_out", 40 - dropped)
            for c in many:
                c.close()
        self.assertEqual(sum(r["reason"] == "invalid_backend" for r in lines(d)), dropped)

    def test_without_endpoint_datagrams_are_dropped(self):
        with Driver(udp=RULE, clusters={"up": ""}) as d, client(d.udp[0]) as c:
            self.assertTrue(silent(c, b"x"))
            self.assertEqual(d.counters()["datagrams_dropped"], 1)

    def test_an_endpoint_that_refuses_is_left(self):
        with Server() as up, Server() as gone:
            port = gone.port
            gone.close()
            with Driver(udp=("cluster=up",), clusters={"up": f"127.0.0.1:{port},127.0.0.1:{up.port}"}) as d:
                for _ in range(10):
                    with client(d.udp[0]) as c:
                        self.assertEqual(asked_until(c, b"x"), b"x")

    def test_a_flow_survives_its_endpoint_coming_back(self):
        first = Server()
        port = first.port
        with Driver(udp=RULE, clusters={"up": f"127.0.0.1:{port}"}) as d, client(d.udp[0]) as c:
            self.assertEqual(ask(c, b"one"), b"one")
            first.close()
            for _ in range(3):
                self.assertTrue(silent(c, b"lost", 0.05))
            with Server(port=port):
                self.assertEqual(asked_until(c, b"two", b"two"), b"two")
            self.assertEqual(d.counters()["flows"], 1)


class Life(unittest.TestCase):
    def test_a_quiet_flow_ends_after_the_idle_time(self):
        with Server() as up, Driver(up=up, udp=("cluster=up idle_ms=300",), log=True) as d, client(d.udp[0]) as c:
            self.assertEqual(ask(c, b"xyz"), b"xyz")
            d.until("flows_active", 0)
            self.assertEqual(ask(c, b"again"), b"again")
            self.assertEqual(len(up.sources), 2)
        line = lines(d)[0]
        self.assertEqual((line["protocol"], line["reason"], line["bytes_in"], line["bytes_out"]), ("UDP", None, 3, 3))
        self.assertEqual((line["cluster"], line["endpoint"], line["route"]), ("up", f"127.0.0.1:{up.port}", "l4/1"))
        self.assertEqual(line["client"], "127.0.0.1")

    def test_datagrams_of_either_side_keep_a_flow(self):
        with Server() as up, Driver(up=up, udp=("cluster=up idle_ms=400",)) as d, client(d.udp[0]) as c:
            self.assertEqual(ask(c, b"x"), b"x")
            for i in range(8):
                time.sleep(0.1)
                up.sock.sendto(b"%d" % i, up.sources[0])
                self.assertEqual(c.recv(10), b"%d" % i)
            for i in range(8):
                time.sleep(0.1)
                self.assertEqual(ask(c, b"x"), b"x")
            self.assertEqual(d.counters()["flows"], 1)

    def test_flows_live_over_reloads(self):
        with Server(lambda d, source: b"%d" % source[1]) as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            first = ask(c, b"x")
            for _ in range(10):
                d.reload()
                self.assertEqual(ask(c, b"x"), first)

    def test_proven_flows_stay_when_strangers_flood(self):
        with Server(lambda d, source: b"%d" % source[1]) as up, Driver(up=up, udp=RULE, settings=["udp_flows=64"]) as d, \
                client(d.udp[0]) as c:
            first = ask(c, b"x")
            self.assertEqual(ask(c, b"x"), first)
            for _ in range(300):
                with client(d.udp[0]) as stranger:
                    stranger.send(b"flood")
            self.assertEqual(ask(c, b"x"), first)
            self.assertGreater(d.counters()["flows_evicted"], 200)

    def test_a_drain_lets_answers_come_and_ends(self):
        asked = threading.Event()
        go = threading.Event()

        def slow(data, _):
            asked.set()
            go.wait(DEADLINE)
            return data
        with Server(slow) as up, Driver(up=up, udp=RULE) as d, client(d.udp[0]) as c:
            c.send(b"late")
            self.assertTrue(asked.wait(DEADLINE))
            d.order("drain 20000")
            time.sleep(0.1)
            go.set()
            self.assertEqual(c.recv(10), b"late")
            self.assertEqual(ask(c, b"more"), b"more")  # nobody else is there to take the socket
            d.process.wait(DEADLINE)

    def test_a_flood_does_not_hold_a_drain(self):
        stop = threading.Event()

        def flood(port):
            while not stop.is_set():
                with client(port) as c:
                    try:
                        c.send(b"x")
                    except ConnectionRefusedError:
                        return
                time.sleep(0.001)
        with Server() as up, Driver(up=up, udp=RULE) as d:
            t = threading.Thread(target=flood, args=(d.udp[0],))
            t.start()
            time.sleep(0.1)
            d.order("drain 60000")
            d.process.wait(DEADLINE)
            stop.set()
            t.join()


if __name__ == "__main__":
    unittest.main()
