#!/usr/bin/env python3
"""clients.py - clients that no public tool is: new and resumed TLS connections, connections that only stay open.

  clients.py handshakes PORT SECONDS full|resume   prints requests, errors, p50 and p99 in us; a session not resumed is an error
  clients.py hold PORT COUNT plain|tls             opens so many with one request each, says "open", closes at the end of stdin
"""
import asyncio
import re
import socket
import ssl
import sys
import time

from loads import percentiles

NAME = "localhost"


def client_context():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


def one_request(ctx, port, session):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with ctx.wrap_socket(raw, session=session, server_hostname=NAME) as s:
            s.sendall(b"GET /1k HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")
            data = s.recv(65536)
            while more := s.recv(65536):
                data += more
            return data.startswith(b"HTTP/1.1 200"), s.session_reused, s.session


def handshakes(port, seconds, resume):
    ctx, session, errors, times = client_context(), None, 0, []
    if resume:
        session = one_request(ctx, port, None)[2]
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        good, reused, new = one_request(ctx, port, session)
        times.append((time.monotonic() - begin) * 1e6)
        errors += not good or (resume and not reused)
        session = new if resume else None
    print(len(times), errors, *(f"{t:.0f}" for t in percentiles(times)))


async def hold(port, n, tls):
    ctx = client_context() if tls else None
    held = []
    for _ in range(n):
        r, w = await asyncio.open_connection("127.0.0.1", port, ssl=ctx, server_hostname=NAME if tls else None)
        w.write(b"GET /1k HTTP/1.1\r\nHost: bench.example\r\n\r\n")
        head = await r.readuntil(b"\r\n\r\n")
        await r.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        held.append((r, w))
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for _, w in held:
        w.transport.abort()


if __name__ == "__main__":
    if sys.argv[1] == "handshakes":
        handshakes(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "resume")
    else:
        asyncio.run(hold(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "tls"))
