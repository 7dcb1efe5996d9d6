"""loads.py - what is asked of a proxy. Each load returns a dictionary: requests, errors, p50 and p99 in microseconds.

wrk for HTTP/1.1, h2load for HTTP/2, ws_load for WebSockets, and clients.py for handshakes, because no public tool
resumes sessions of TLS 1.3 the way browsers do.
"""
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}
CONNECTIONS = 100


def microseconds(text):
    """wrk's "1.25ms" as a number."""
    m = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    return float(m[1]) * UNITS[m[2]] if m else None


def result(requests=0, errors=1, p50=None, p99=None):
    return dict(requests=requests, errors=errors, p50=p50, p99=p99)


def percentiles(values):
    """(p50, p99); None when there are none."""
    v = sorted(values)
    return (v[len(v) // 2], v[min(len(v) - 1, len(v) * 99 // 100)]) if v else (None, None)


def lua(args):
    """wrk's script for a request with these arguments; `lines` are a script of their own."""
    lines = list(args.get("lines", ()))
    if args.get("body"):
        lines.append(f'wrk.method = "POST"; wrk.body = string.rep("x", {args["body"]})')
    if args.get("close"):
        lines.append('wrk.headers["Connection"] = "close"')
    return "\n".join(lines) + "\n"


def wrk(lab, port, row, seconds, detail=False):
    script = lab.dir / "load.lua"
    script.write_text(lua(row.args))
    # A name, not an address, in the URL of TLS: only then does wrk say which server it wants.
    url = {"https": "https://localhost", "sni": "https://localhost"}.get(row.port, "http://127.0.0.1")
    out = lab.run("wrk", "-t1", f"-c{row.arg('connections', CONNECTIONS)}", f"-d{seconds}s", "--timeout", "10s", "--latency",
                  "-s", script, f"{url}:{port}{row.arg('path', '/')}").stdout
    done, bad = re.search(r"(\d+) requests in", out), re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if not done:
        return result()
    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
    times = [re.search(rf"{p}%\s+(\S+)", out) for p in (50, 99)]
    return result(int(done[1]), errors + (int(bad[1]) if bad else 0), *(microseconds(t[1]) if t else None for t in times))


def h2load(lab, port, row, seconds, detail=False):
    """`detail`: its log has the time of every request, and costs it some of its speed."""
    log = lab.dir / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{row.arg('clients', 50)}", f"-m{row.arg('streams', 20)}", f"-D{seconds}", "--warm-up-time=0"]
    if detail:
        command += ["--log-file", log]
    if row.arg("body"):
        body = lab.dir / "body"
        body.write_bytes(b"x" * row.arg("body"))
        command += ["-d", body]
    if row.arg("grpc"):
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    scheme = "https" if row.port == "https" else "http"
    out = lab.run(*command, f"{scheme}://127.0.0.1:{port}{row.arg('path')}").stdout
    m = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed", out)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not m or not codes:
        return result()
    times = [int(line.split()[2]) for line in log.read_text().splitlines()] if detail and log.exists() else []
    return result(int(codes[1]), int(m[3]) + sum(map(int, codes.groups()[1:])), *percentiles(times))


def handshakes(lab, port, row, seconds, detail=False):
    out = lab.run(lab.python, HERE / "clients.py", "handshakes", port, seconds, "resume" if row.arg("resume") else "full")
    if out.returncode != 0:
        return result()
    n, errors, p50, p99 = out.stdout.split()
    return result(int(n), int(errors), float(p50), float(p99))


def websocket(lab, port, row, seconds, detail=False):
    out = lab.run(lab.tool("ws_load"), "run", port, seconds, CONNECTIONS, row.arg("size"))
    if out.returncode != 0:
        return result()
    n, errors, p50, p99 = out.stdout.split()
    return result(int(n), int(errors), float(p50), float(p99))


LOADS = {"wrk": wrk, "h2load": h2load, "handshakes": handshakes, "websocket": websocket}
