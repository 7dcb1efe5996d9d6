#!/usr/bin/env python3
"""stream_test.py - TCP through the data plane, as both sides see it; one behaviour for each test."""
import hashlib
import json
import os
import queue
import random
import select
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wire import DEADLINE, Backend, Driver, Peer, free_port  # noqa: E402

MIB = 1 << 20
RULE = ("cluster=up",)


def dial(driver, which=0):
    return Peer(socket.create_connection(("127.0.0.1", driver.tcp[which])))


def echo_bytes(peer, _number=0):
    while data := peer.sock.recv(65536):
        peer.sock.sendall(data)


def hold(peer, _number=0):
    """Reads nothing, says nothing, until the test closes it."""
    threading.Event().wait(DEADLINE)


def ended(peer):
    """How a connection ended: "end" or "reset"."""
    try:
        while peer.sock.recv(65536):
            pass
        return "end"
    except ConnectionResetError:
        return "reset"


def swallow(peer):
    """How many bytes come before the end."""
    n = 0
    while data := peer.sock.recv(1 << 18):
        n += len(data)
    return n


def pattern(n, seed=1):
    return random.Random(seed).randbytes(n)


class Bytes(unittest.TestCase):
    def test_bytes_go_both_ways(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            for n in (1, 10, 1000, 65536, 300000):
                data = pattern(n, n)
                threading.Thread(target=c.send, args=(data,)).start()
                self.assertEqual(c.exactly(n), data)

    def test_a_server_may_speak_first(self):
        def greet(peer, _):
            peer.send(b"220 ready\r\n")
            echo_bytes(peer)
        with Backend(greet) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            self.assertEqual(c.until(b"\n"), b"220 ready\r\n")
            c.send(b"hello")
            self.assertEqual(c.exactly(5), b"hello")

    def test_what_the_client_says_at_once_is_not_lost(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d:
            for i in range(50):
                with dial(d) as c:
                    c.send(b"first %d" % i)
                    c.sock.shutdown(socket.SHUT_WR)
                    self.assertEqual(c.rest(), b"first %d" % i)

    def test_large_transfers_arrive_whole_in_both_directions_at_once(self):
        size = 64 * MIB
        down, forth = pattern(MIB, 2), pattern(MIB, 3)
        sums = {}

        def swallow(sock, name):
            digest, n = hashlib.sha256(), 0
            while data := sock.recv(1 << 18):
                digest.update(data)
                n += len(data)
            sums[name] = (n, digest.hexdigest())

        def serve(peer, _):
            reader = threading.Thread(target=swallow, args=(peer.sock, "forth"))
            reader.start()
            for _ in range(size // MIB):
                peer.send(down)
            peer.sock.shutdown(socket.SHUT_WR)
            reader.join()

        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            reader = threading.Thread(target=swallow, args=(c.sock, "down"))
            reader.start()
            for _ in range(size // MIB):
                c.send(forth)
            c.sock.shutdown(socket.SHUT_WR)
            reader.join()
            d.until("streams_active", 0)
            self.assertEqual(sums["down"], (size, hashlib.sha256(down * (size // MIB)).hexdigest()))
            self.assertEqual(sums["forth"], (size, hashlib.sha256(forth * (size // MIB)).hexdigest()))
            self.assertGreater(d.counters()["spliced_bytes"], size)
            self.assertEqual(d.counters()["buffer_bytes"], 0)

    def test_bulk_and_conversation_may_alternate(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            for i in range(8):
                data = pattern(2 * MIB if i % 2 else 7, i)
                threading.Thread(target=c.send, args=(data,)).start()
                self.assertEqual(c.exactly(len(data)), data)

    def test_a_slow_reader_holds_the_sender_back_and_little_memory(self):
        done = threading.Event()

        def serve(peer, _):
            for _ in range(64):
                peer.send(bytes(MIB))
            done.set()

        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            self.assertFalse(done.wait(1))
            self.assertLess(d.counters()["buffer_bytes"], 256 * 1024)
            self.assertEqual(swallow(c), 64 * MIB)

    def test_without_pipes_bytes_are_copied(self):
        # A worker with few descriptors has few pipes; those that stand still hold them all.
        with Backend(hold) as up, Driver(up=up, tcp=RULE) as d:
            stuck = [dial(d) for _ in range(80)]
            for c in stuck:
                c.sock.setblocking(False)
                try:
                    while select.select([], [c.sock], [], 0.02)[1]:
                        c.sock.send(bytes(MIB))
                except BlockingIOError:
                    pass
            self.assertLess(d.counters()["buffer_bytes"], 80 * 160 * 1024)
            for c in stuck:
                c.reset()
            d.until("streams_active", 0)
            self.assertEqual(d.counters()["buffer_bytes"], 0)

    def test_a_unix_socket_as_endpoint(self):
        class Unix(Backend):
            where = tempfile.TemporaryDirectory()

            def listen(self):
                s = socket.socket(socket.AF_UNIX)
                s.bind(self.where.name + "/up")
                s.listen()
                return s

        with Unix(echo_bytes) as up, Driver(tcp=RULE, clusters={"up": f"unix:{up.where.name}/up"}) as d, dial(d) as c:
            data = pattern(3 * MIB)
            threading.Thread(target=c.send, args=(data,)).start()
            self.assertEqual(c.exactly(len(data)), data)

    def test_idle_connections_hold_no_buffers(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d:
            many = [dial(d) for _ in range(300)]
            for c in many:
                c.send(b"x")
            for c in many:
                self.assertEqual(c.exactly(1), b"x")
            got = d.counters()
            self.assertEqual((got["streams_active"], got["client_active"], got["upstream_active"]), (300, 300, 300))
            self.assertEqual(got["buffer_bytes"], 0)
            for c in many:
                c.close()
            d.until("streams_active", 0)
            self.assertEqual(d.counters()["upstream_active"], 0)


class Ends(unittest.TestCase):
    def test_a_client_that_has_ended_still_gets_its_answer(self):
        def serve(peer, _):
            asked = peer.rest()
            time.sleep(0.1)
            peer.send(b"you said " + asked)
        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            c.send(b"all")
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(c.rest(), b"you said all")

    def test_a_server_that_has_ended_still_hears(self):
        heard = queue.Queue()

        def serve(peer, _):
            peer.send(b"bye")
            peer.sock.shutdown(socket.SHUT_WR)
            heard.put(peer.rest())
        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            self.assertEqual(c.rest(), b"bye")
            for _ in range(10):
                c.send(b"still here ")
                time.sleep(0.01)
            c.sock.shutdown(socket.SHUT_WR)
            d.until("streams_active", 0)
            self.assertEqual(heard.get(timeout=60), b"still here " * 10)

    def test_an_end_without_a_byte_ends_both(self):
        with Backend(lambda p, _: p.rest()) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            c.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(ended(c), "end")
            d.until("streams_active", 0)

    def test_a_reset_of_the_server_comes_after_its_bytes(self):
        def serve(peer, _):
            peer.exactly(2)
            peer.send(b"partial")
            time.sleep(0.05)
            peer.reset()
        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            c.send(b"go")
            self.assertEqual(c.exactly(7), b"partial")
            self.assertEqual(ended(c), "reset")

    def test_a_reset_of_the_server_in_the_middle_of_bulk(self):
        def serve(peer, _):
            for _ in range(16):
                peer.send(bytes(MIB))
            peer.reset()
        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d:
            for _ in range(5):
                with dial(d) as c:
                    self.assertEqual(ended(c), "reset")
            d.until("streams_active", 0)
            self.assertEqual(d.counters()["buffer_bytes"], 0)

    def test_a_reset_of_the_client_reaches_the_server(self):
        how = []

        def serve(peer, _):
            how.append(ended(peer))
        with Backend(serve) as up, Driver(up=up, tcp=RULE) as d:
            c = dial(d)
            c.send(b"hello")
            up.accepted.get(timeout=DEADLINE)
            time.sleep(0.05)
            c.reset()
            d.until("streams_active", 0)
            end = time.monotonic() + DEADLINE
            while not how and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(how, ["reset"])

    def test_a_reset_of_the_client_is_seen_while_the_server_reads_nothing(self):
        with Backend(hold) as up, Driver(up=up, tcp=RULE) as d:
            c = dial(d)
            c.sock.setblocking(False)
            try:
                while select.select([], [c.sock], [], 0.2)[1]:
                    c.sock.send(bytes(MIB))
            except BlockingIOError:
                pass
            c.reset()
            d.until("streams_active", 0)
            self.assertEqual(d.counters()["upstream_active"], 0)

    def test_a_silent_connection_ends_after_the_idle_time(self):
        with Backend(lambda p, _: p.rest()) as up, Driver(up=up, tcp=("cluster=up idle_ms=300",)) as d, dial(d) as c:
            began = time.monotonic()
            self.assertEqual(ended(c), "end")
            self.assertGreater(time.monotonic() - began, 0.25)
            d.until("streams_active", 0)

    def test_bytes_of_either_side_keep_it_alive(self):
        def tick(peer, _):
            for _ in range(8):
                peer.send(b".")
                time.sleep(0.1)
        with Backend(tick) as up, Driver(up=up, tcp=("cluster=up idle_ms=400",)) as d, dial(d) as c:
            self.assertEqual(c.rest(), b"........")

    def test_the_idle_time_of_the_instance_holds_where_the_rule_says_nothing(self):
        with Backend(hold) as up, Driver(up=up, tcp=RULE, settings=["tcp_idle_timeout_ms=200"]) as d, dial(d) as c:
            self.assertEqual(ended(c), "end")


class Choice(unittest.TestCase):
    def refused(self, d, n=3):
        for _ in range(n):
            with dial(d) as c:
                self.assertIn(ended(c), ("reset", "end"))

    def test_without_endpoint_the_connection_is_reset(self):
        with Driver(tcp=RULE, clusters={"up": ""}, log=True) as d:
            self.refused(d)
        self.assertEqual([r["reason"] for r in lines(d)], ["no_endpoints"] * 3)

    def test_an_invalid_backend_resets_its_share(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=("cluster=up*1,invalid*1",)) as d:
            served = 0
            for _ in range(100):
                with dial(d) as c:
                    try:
                        c.send(b"x")
                        served += c.sock.recv(1) == b"x"
                    except ConnectionError:
                        pass
            self.assertTrue(45 <= served <= 55, served)

    def test_a_socket_without_route_resets(self):
        with Driver(tcp=("",), clusters={"up": ""}, log=True) as d:
            self.refused(d, 1)
        self.assertEqual(lines(d)[0]["reason"], "no_backend")

    def test_weights_hold_over_five_hundred_connections(self):
        def say(word):
            def serve(peer, _):
                peer.send(word)
            return serve
        with Backend(say(b"a")) as a, Backend(say(b"b")) as b, \
                Driver(tcp=("cluster=a*80,b*20",), clusters={"a": f"127.0.0.1:{a.port}", "b": f"127.0.0.1:{b.port}"}) as d:
            got = b""
            for _ in range(500):
                with dial(d) as c:
                    got += c.rest()
            self.assertEqual(len(got), 500)
            self.assertTrue(375 <= got.count(b"a") <= 425, got.count(b"a"))

    def test_another_endpoint_is_dialled_when_one_refuses(self):
        with Backend(echo_bytes) as up:
            gone = free_port()
            with Driver(tcp=RULE, clusters={"up": f"127.0.0.1:{gone},127.0.0.1:{up.port}"}) as d:
                for _ in range(10):
                    with dial(d) as c:
                        c.send(b"x")
                        self.assertEqual(c.exactly(1), b"x")

    def test_when_all_refuse_the_connection_is_reset(self):
        with Driver(tcp=RULE, clusters={"up": f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"}, log=True) as d:
            self.refused(d, 1)
        self.assertEqual((lines(d)[0]["reason"], lines(d)[0]["tries"]), ("connect_failed", 2))

    def test_an_endpoint_that_does_not_answer_is_given_up(self):
        deaf = socket.socket()
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fill = []
        for _ in range(3):  # its queue is full now
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(deaf.getsockname())
            fill.append(s)
        with Backend(echo_bytes) as up:
            at = f"127.0.0.1:{deaf.getsockname()[1]},127.0.0.1:{up.port};connect_ms=200"
            with Driver(tcp=RULE, clusters={"up": at}) as d:
                for _ in range(3):
                    with dial(d) as c:
                        c.send(b"x")
                        self.assertEqual(c.exactly(1), b"x")
        for s in fill + [deaf]:
            s.close()

    def test_a_cluster_has_no_more_connections_than_it_may(self):
        with Backend(echo_bytes) as up, Driver(tcp=RULE, clusters={"up": f"127.0.0.1:{up.port};max_connections=2"}) as d:
            first, second = dial(d), dial(d)
            for c in (first, second):
                c.send(b"x")
                self.assertEqual(c.exactly(1), b"x")
            self.refused(d, 2)
            first.close()
            d.until("streams_active", 1)
            with dial(d) as c:
                c.send(b"y")
                self.assertEqual(c.exactly(1), b"y")
            second.close()

    def test_the_endpoint_learns_of_the_client_by_a_proxy_header(self):
        heads = []

        def serve(peer, _):
            head = peer.exactly(6)
            heads.append(head + (peer.until(b"\r\n") if head == b"PROXY " else peer.exactly(22)))
            peer.send(peer.exactly(1))
        for version in (1, 2):
            with Backend(serve) as up, Driver(tcp=RULE, clusters={"up": f"127.0.0.1:{up.port};proxy={version}"}) as d, \
                    dial(d) as c:
                mine, theirs = c.sock.getsockname()[1], d.tcp[0]
                text = f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {theirs}\r\n".encode()
                binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01" + struct.pack("!HH", mine, theirs)
                want = text if version == 1 else binary
                c.send(b"x")
                self.assertEqual(c.exactly(1), b"x")
                self.assertEqual(heads.pop(), want)


def lines(driver):
    """Of the access log, once the driver has ended."""
    return [json.loads(text) for text in driver.errors if text.startswith("{")]


class Life(unittest.TestCase):
    def test_streams_live_over_reloads(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            for i in range(20):
                c.send(b"%03d" % i)
                self.assertEqual(c.exactly(3), b"%03d" % i)
                d.reload()
            self.assertEqual(len(up.peers), 1)

    def test_a_drain_waits_for_streams_and_takes_no_new_ones(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE) as d, dial(d) as c:
            c.send(b"x")
            self.assertEqual(c.exactly(1), b"x")
            d.order("drain")
            end = time.monotonic() + DEADLINE
            while True:
                try:
                    socket.create_connection(("127.0.0.1", d.tcp[0])).close()
                except ConnectionRefusedError:
                    break
                except ConnectionResetError:
                    pass  # it was in the queue of the socket that was just being closed
                self.assertLess(time.monotonic(), end)
            c.send(b"y")
            self.assertEqual(c.exactly(1), b"y")
            c.close()
            d.process.wait(DEADLINE)

    def test_a_drain_cuts_streams_at_its_deadline(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE, log=True) as d, dial(d) as c:
            c.send(b"x")
            self.assertEqual(c.exactly(1), b"x")
            d.order("drain 300")
            self.assertEqual(ended(c), "reset")
            d.process.wait(DEADLINE)
        self.assertEqual(lines(d)[0]["reason"], "draining")

    def test_every_stream_leaves_a_line(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE, log=True) as d:
            with dial(d) as c:
                c.send(b"four")
                self.assertEqual(c.exactly(4), b"four")
                port = c.sock.getsockname()[1]
            d.until("streams_active", 0)
        line = lines(d)[0]
        self.assertEqual((line["protocol"], line["client"], line["client_port"]), ("TCP", "127.0.0.1", port))
        self.assertEqual((line["bytes_in"], line["bytes_out"], line["reason"], line["tries"]), (4, 4, None, 1))
        self.assertEqual((line["cluster"], line["endpoint"]), ("up", f"127.0.0.1:{up.port}"))
        self.assertEqual((line["listener"], line["route"], line["sni"]), ("l4/listener/1", "l4/1", None))
        self.assertGreater(line["upstream_ms"], 0)

    def test_full_workers_refuse(self):
        with Backend(echo_bytes) as up, Driver(up=up, tcp=RULE, settings=["max_connections=5"]) as d:
            many = [dial(d) for _ in range(5)]
            for c in many:
                c.send(b"x")
                self.assertEqual(c.exactly(1), b"x")
            with dial(d) as late:
                late.send(b"y")
                self.assertTrue(late.silent(0.3))
                many.pop().close()
                self.assertEqual(late.exactly(1), b"y")
            for c in many:
                c.close()


if __name__ == "__main__":
    unittest.main()
