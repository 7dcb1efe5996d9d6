"""Handshakes that are broken off at every place, and what is left of them: nothing."""
import collections
import random
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from common import Figures, VERSIONS, ask, client_context, connect_tls, counter, gh, https_files, percentile, progress

ALERTS = (0, 10, 40, 42, 47, 48, 70, 80, 90, 100)


def hello(version, session=None):
    """What a client says first, and the object that goes on with it."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(version).wrap_bio(into, out, server_hostname="a.example.com")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return tls, into, out, out.read()


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def some(s, n=65536):
    s.settimeout(gh.DEADLINE)
    return s.recv(n)


# Each way gets an open connection and a version; it is closed when the way returns.
def nothing(s, version, r):
    pass


def nothing_reset(s, version, r):
    reset(s)


def part_of_hello(s, version, r):
    data = hello(version)[3]
    s.sendall(data[:r.randrange(1, len(data))])


def part_of_hello_reset(s, version, r):
    part_of_hello(s, version, r)
    reset(s)


def whole_hello(s, version, r):
    s.sendall(hello(version)[3])


def whole_hello_reset(s, version, r):
    whole_hello(s, version, r)
    reset(s)


def after_the_answer(s, version, r):
    whole_hello(s, version, r)
    some(s)


def after_the_answer_reset(s, version, r):
    after_the_answer(s, version, r)
    reset(s)


def part_of_the_end(s, version, r):
    """Half of the client's last flight."""
    tls, into, out, data = hello(version)
    s.sendall(data)
    while not (last := out.read()):
        into.write(some(s) or b"")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
    s.sendall(last[:r.randrange(1, len(last))])


def alert_first(s, version, r):
    s.sendall(bytes([21, 3, 3, 0, 2, 2, r.choice(ALERTS)]))
    some(s)


def alert_for_an_answer(s, version, r):
    after_the_answer(s, version, r)
    s.sendall(bytes([21, 3, 3, 0, 2, 2, r.choice(ALERTS)]))
    while some(s):
        pass


def damaged_hello(s, version, r):
    data = bytearray(hello(version)[3])
    for _ in range(r.randrange(1, 8)):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    while some(s):
        pass


def wrong_finish(s, version, r):
    after_the_answer(s, version, r)
    s.sendall(b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x35" + r.randbytes(0x35))
    while some(s):
        pass


def no_tls(s, version, r):
    s.sendall(r.choice([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 64, r.randbytes(200)]))
    s.shutdown(socket.SHUT_WR)
    while some(s):
        pass


def unknown_authority(s, version, r):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody: the alert comes from a real client
    c.minimum_version = c.maximum_version = version
    c.wrap_socket(s.dup(), server_hostname="a.example.com").close()


WAYS = [nothing, nothing_reset, part_of_hello, part_of_hello_reset, whole_hello, whole_hello_reset, after_the_answer, after_the_answer_reset,
        part_of_the_end, alert_first, alert_for_an_answer, damaged_hello, wrong_finish, no_tls, unknown_authority]


class Honest:
    """A client that shakes hands properly all the time."""

    def __init__(self, port):
        self.port, self.times, self.failed, self.stopping = port, [], [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        context = client_context()
        while not self.stopping.is_set():
            started = time.monotonic()
            try:
                with connect_tls(self.port, context) as s:
                    assert ask(s).startswith(b"HTTP/1.1 200")
            except (OSError, AssertionError) as e:
                self.failed.append(repr(e))
            self.times.append(time.monotonic() - started)

    def close(self):
        self.stopping.set()
        self.thread.join(gh.DEADLINE)


def failed_of(metrics):
    return counter(metrics, "gatehouse_tls_failures_total", side="client")


def settled_count(g):
    """Metrics that do not change any more."""
    last = None
    while (now := failed_of(g.metrics())) != last:
        last = now
        time.sleep(0.5)
    return g.metrics()


def aborts(count=10000, clients=8, seed=1):
    r = random.Random(seed)
    with gh.Upstream() as u, gh.Gateway(https_files(u)) as g:
        done = collections.Counter()

        def one(i):
            way, version = WAYS[i % len(WAYS)], VERSIONS["1.2" if i // len(WAYS) % 2 else "1.3"]
            try:
                with socket.create_connection(("127.0.0.1", g.port), gh.DEADLINE) as s:
                    way(s, version, random.Random(r.random()))
            except (ConnectionError, ssl.SSLError):
                pass  # the gateway ended it first, which is as good
            done[way.__name__] += 1
        honest = Honest(g.port)
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, range(count // 4)))
            before = Figures(g).settled()
            before.before = before.now()
            done.clear()
            m = settled_count(g)
            step = max(1, count // 20)
            for at in range(0, count, step):
                list(pool.map(one, range(at, min(count, at + step))))
                progress(min(count, at + step), "handshakes broken off")
        honest.close()
        report = before.settled().report()
        due, end = sum(n for way, n in done.items() if not way.startswith("nothing")), time.monotonic() + gh.DEADLINE
        while failed_of(after := g.metrics()) - failed_of(m) < due and time.monotonic() < end:
            time.sleep(0.1)  # the last ones are noticed a moment later
        failures = {k.split('reason="')[1].split('"')[0]: int(v - m.get(k, 0)) for k, v in after.items()
                    if k.startswith('gatehouse_tls_failures_total{side="client"') and v != m.get(k, 0)}
        shaken = counter(after, "gatehouse_tls_handshakes_total") - counter(m, "gatehouse_tls_handshakes_total")
        return dict(broken_off=count, ways=len(WAYS), honest=len(honest.times), honest_failed=len(honest.failed), words=honest.failed[:3],
                    honest_ms_median=round(1e3 * percentile(honest.times, 0.5), 1), honest_ms_p99=round(1e3 * percentile(honest.times, 0.99), 1),
                    counted_failures=failures, counted=sum(failures.values()),
                    to_be_counted=due, counted_handshakes=int(shaken),
                    figures={k: v for k, v in report.items() if k != "each"})


def aborts_faults(r):
    bad = ["honest_failed"] if r["honest_failed"] else []
    bad += [] if r["figures"]["largest_growth_kib"] < 1024 and r["figures"]["most_fds_more"] < 3 and not r["figures"]["gone"] else ["figures"]
    return bad + ([] if r["counted"] == r["to_be_counted"] else ["counted"])
