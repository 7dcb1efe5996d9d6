"""rows.py - what is measured, and what is wanted of it. A row is data; the bench named in it knows how to fill it.

goal: gatehouse's cost divided by the best peer's, in the same rounds, at most this. limit: an absolute bound in the row's
unit, for rows where the peers are no yardstick; least: the same from below. syscalls: system calls per request, at most this many. growth: what
many routes may cost of what few cost, for the rows that have both. A row with `quick` is part of `make bench-quick`.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    text: str
    bench: str = "traffic"  # traffic, idle, reload, pinned, routes, start, overload, fair, spread
    unit: str = "us CPU/request"
    goal: float = None
    limit: float = None
    least: float = None
    syscalls: float = None
    growth: float = None
    quick: bool = False
    port: str = "http"
    load: str = "wrk"  # a function of loads.py
    base: str = None  # the one to compare with, when it is not the best peer
    args: dict = dataclasses.field(default_factory=dict)

    def arg(self, name, default=None):
        return self.args.get(name, default)


def _table(*rows):
    return {r.key: r for r in rows}


ROWS = _table(
    # Memory first, before other rows have made the proxies keep some.
    Row("idle", "idle plain connections", "idle", "KiB/connection", limit=0.5, args=dict(n=5000)),
    Row("idle-tls", "idle TLS connections", "idle", "KiB/connection", limit=8, port="https", args=dict(n=5000)),
    Row("h1", "HTTP/1.1, 1 KiB", goal=0.88, syscalls=4.3, quick=True, args=dict(path="/1k")),
    Row("h1-64k", "HTTP/1.1, 64 KiB", goal=0.95, args=dict(path="/64k")),
    Row("h1-1m", "HTTP/1.1, 1 MiB", goal=0.80, args=dict(path="/1m")),
    Row("h1-post16k", "HTTP/1.1, POST of 16 KiB", goal=0.90, args=dict(path="/post", body=16384)),
    Row("h1-new", "new plain connection, one request", goal=0.90, args=dict(path="/1k", close=True)),
    Row("tls", "HTTP/1.1 over TLS, 1 KiB", goal=0.85, syscalls=6, quick=True, port="https", args=dict(path="/1k")),
    Row("tls-1m", "HTTP/1.1 over TLS, 1 MiB", goal=0.80, port="https", args=dict(path="/1m")),
    Row("tls-new", "new TLS 1.3 connection (ECDSA P-256), one request", goal=0.65, port="https", load="handshakes"),
    Row("tls-resumed", "resumed TLS 1.3 connection, one request", goal=0.60, port="https", load="handshakes", args=dict(resume=True)),
    Row("h2", "HTTP/2 over TLS, 1 KiB", goal=0.90, syscalls=2.5, quick=True, port="https", load="h2load", args=dict(path="/1k")),
    Row("h2c", "HTTP/2 in plain text, 1 KiB", goal=0.90, syscalls=2.5, port="h2c", load="h2load", args=dict(path="/1k")),
    Row("grpc", "gRPC, HTTP/2 to HTTP/2, small messages", goal=0.90, syscalls=1.5, quick=True, port="grpc", load="h2load",
        args=dict(path="/post", body=64, grpc=True)),
    Row("ws", "WebSocket, messages of 128 B and their echo", unit="us CPU/message", goal=0.90, quick=True, port="ws",
        load="websocket", args=dict(size=128)),
    Row("tcp", "TCP, 1 KiB answers", goal=0.95, port="tcp", args=dict(path="/1k")),
    Row("tcp-1m", "TCP, 1 MiB answers", goal=0.80, port="tcp", args=dict(path="/1m")),
    Row("tcp-new", "TCP, new connection for each request", goal=0.95, port="tcp", args=dict(path="/1k", close=True)),
    Row("sni", "TLS passed through by server name, 1 KiB", goal=0.95, port="sni", args=dict(path="/1k")),
    Row("sni-new", "TLS passed through, new connection for each request", goal=0.95, port="sni", load="handshakes"),
    Row("log", "access log on against off", goal=1.02, base="gatehouse-nolog", args=dict(path="/1k")),
    Row("reload-10", "reload, 10 routes: live on every connection", "reload", "ms", limit=10, quick=True,
        args=dict(routes=10)),
    Row("reload-5000", "reload, 5,000 routes", "reload", "ms", limit=60, args=dict(routes=5000)),
    Row("reload-50000", "reload, 50,000 routes", "reload", "ms", limit=600, args=dict(routes=50000, reloads=2)),
    Row("reload-pinned", "memory that 100 reloads add with 50 pinned WebSockets", "pinned", "MB", limit=5,
        args=dict(routes=1000)),
    Row("routes-hosts", "a lookup among hosts, 10 to 100,000", "routes", "ns/lookup", args=dict(kind="hosts")),
    Row("routes-prefix", "a lookup among path prefixes", "routes", "ns/lookup", args=dict(kind="prefix")),
    Row("routes-header", "a lookup among header values", "routes", "ns/lookup", args=dict(kind="header")),
    Row("routes-query", "a lookup among query values", "routes", "ns/lookup", args=dict(kind="query")),
    Row("routes-regex", "a lookup among regular expressions", "routes", "ns/lookup", args=dict(kind="regex")),
    Row("routes-size", "bytes of the snapshot for each route, mixed, at 100,000", "sizes", "bytes/route", limit=300,
        args=dict(kind="mixed")),
    Row("live-hosts", "a request among 100,000 hosts against 10", "live", growth=1.1, args=dict(kind="hosts")),
    Row("live-prefix", "a request among 100,000 prefixes against 10", "live", growth=1.1, args=dict(kind="prefix")),
    Row("live-header", "a request among 100,000 header values against 10", "live", growth=1.1, args=dict(kind="header")),
    Row("live-regex", "a request among 10,000 regular expressions against 10", "live", growth=1.1, args=dict(kind="regex", most=10000)),
    Row("start", "start-up with 100,000 routes", "start", "ms", limit=1000, args=dict(sizes=(10, 100000))),
    Row("overload", "goodput at twice the capacity, of the capacity", "overload", "%", least=90),
    Row("fair-h2", "p99 of small requests beside a greedy HTTP/2 connection", "fair", "times", limit=1.1, args=dict(greedy="h2")),
    Row("fair-download", "p99 of small requests beside a download of 1 GiB", "fair", "times", limit=1.1, args=dict(greedy="download")),
    Row("spread", "connections of the busiest and idlest of two workers, apart", "spread", "%", limit=10, args=dict(n=2000)),
)
