"""loads.py - what bench.py asks of a proxy: each load returns (requests, errors, p99 text).

wrk for HTTP/1.1, h2load for HTTP/2, and this file run as a program for handshakes and idle connections, because no
public tool resumes sessions of TLS 1.3 the way browsers do.
"""
import asyncio
import re
import socket
import ssl
import subprocess
import sys
import time


def wrk(bench, port, row, seconds):
    script = bench.dir / "load.lua"
    lines = []
    if row.get("body"):
        lines.append(f'wrk.method = "POST"; wrk.body = string.rep("x", {row["body"]})')
    if row.get("close"):
        lines.append('wrk.headers["Connection"] = "close"')
    script.write_text("\n".join(lines) + "\n")
    scheme = "https" if row["port"] == "https" else "http"
    out = subprocess.run(["taskset", "-c", bench.load_cpu, "wrk", "-t1", f"-c{bench.args.connections}", f"-d{seconds}s",
                          "--latency", "-s", str(script), f"{scheme}://127.0.0.1:{port}{row['path']}"],
                         capture_output=True, text=True).stdout
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
    m = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    p99 = re.search(r"99%\s+(\S+)", out)
    return int(re.search(r"(\d+) requests in", out)[1]), errors + (int(m[1]) if m else 0), p99[1] if p99 else "-"


def h2load(bench, port, row, seconds):
    command = ["taskset", "-c", bench.load_cpu, "h2load", "-t1", "-c10", f"-m{row.get('streams', 10)}", f"-D{seconds}",
               "--warm-up-time=0"]
    if row.get("body"):
        body = bench.dir / "body"
        body.write_bytes(b"x" * row["body"])
        command += ["-d", str(body)]
    if row.get("grpc"):
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    scheme = "https" if row["port"] == "https" else "http"
    out = subprocess.run([*command, f"{scheme}://127.0.0.1:{port}{row['path']}"], capture_output=True, text=True).stdout
    m = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", out)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not m or not codes:
        return 0, 1, "-"
    worst = re.search(r"time for request:\s+\S+\s+(\S+)", out)
    return int(codes[1]), int(m[3]) + sum(map(int, codes.groups()[1:])), (worst[1] + " max") if worst else "-"


def handshakes(bench, port, row, seconds):
    out = subprocess.run(["taskset", "-c", bench.load_cpu, sys.executable, __file__, "handshakes", str(port), str(seconds),
                          "resume" if row.get("resume") else "full"], capture_output=True, text=True)
    n, errors = map(int, out.stdout.split()) if out.returncode == 0 else (0, 1)
    return n, errors, "-"


LOADS = {"wrk": wrk, "h2load": h2load, "handshakes": handshakes}

# ---- as a program ----


def client_context():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    return ctx


def one_request(ctx, port, session):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with ctx.wrap_socket(raw, session=session, server_hostname="bench.example") as s:
            s.sendall(b"GET /1k HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")
            data = s.recv(65536)
            while (more := s.recv(65536)):
                data += more
            return data.startswith(b"HTTP/1.1 200"), s.session_reused, s.session


def run_handshakes(port, seconds, resume):
    """Prints requests and errors. A session that was asked for and not resumed is an error."""
    ctx, session, n, errors = client_context(), None, 0, 0
    if resume:
        session = one_request(ctx, port, None)[2]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        good, reused, new = one_request(ctx, port, session)
        n += 1
        errors += not good or (resume and not reused)
        session = new if resume else None
    print(n, errors)


async def hold(port, n, tls):
    """Opens n connections that have had one request each, says "open", and closes them when stdin ends."""
    ctx = client_context() if tls else None
    held = []
    for _ in range(n):
        r, w = await asyncio.open_connection("127.0.0.1", port, ssl=ctx, server_hostname="bench.example" if tls else None)
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
        run_handshakes(int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "resume")
    else:
        asyncio.run(hold(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "tls"))
