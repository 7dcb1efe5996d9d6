"""wire.py - a worker without a master (driver.c), clients and backends whose every byte a test writes."""
import os
import queue
import select
import socket
import subprocess
import threading
import time

DRIVER = os.environ.get("GATEHOUSE_DRIVER", "tests/unit/worker/proxy/driver")
DEADLINE = 20


class Driver:
    """Serves until close(); exit status and standard error are part of every test (sanitizers speak there)."""

    def __init__(self, *args, rules=("prefix=/ cluster=up",), clusters=None, up=None, settings=(), log=False,
                 tcp=(), udp=()):
        command = [DRIVER]
        for name, value in (clusters or {"up": f"127.0.0.1:{up.port}" if up else ""}).items():
            command += ["--cluster", f"{name}={value}"]
        for r in rules:
            command += ["--rule", r]
        for kind, these in (("--tcp", tcp), ("--udp", udp)):
            for r in these:
                command += [kind, r]
        for s in settings:
            command += ["--set", s]
        if log:
            command.append("--log")
        self.process = subprocess.Popen(command + list(args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.errors = []
        self.reader = threading.Thread(target=lambda: self.errors.extend(self.process.stderr), daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        assert line.startswith("port "), (line, self.errors)
        words = line.split()
        self.port = int(words[1])
        self.tcp = [int(words[i + 1]) for i in range(2, len(words), 2) if words[i] == "tcp"]
        self.udp = [int(words[i + 1]) for i in range(2, len(words), 2) if words[i] == "udp"]

    def order(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def reload(self):
        self.order("reload")
        assert self.process.stdout.readline().startswith("generation")

    def counters(self):
        self.order("counters")
        found = {}
        while (line := self.process.stdout.readline().strip()) != ".":
            name, value = line.split("=")
            found[name] = int(value)
        return found

    def until(self, name, value):
        end = time.monotonic() + DEADLINE
        while (got := self.counters()[name]) != value:
            assert time.monotonic() < end, f"{name} is {got}, not {value}"
            time.sleep(0.01)

    def connect(self):
        return Peer(socket.create_connection(("127.0.0.1", self.port)))

    def get(self, path="/", host="a", method="GET", body=b"", headers=()):
        with self.connect() as c:
            extra = "".join(f"{h}\r\n" for h in headers) + (f"Content-Length: {len(body)}\r\n" if body else "")
            c.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{extra}\r\n".encode() + body)
            return c.response(method)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait(DEADLINE)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        assert status == 0, (status, "".join(self.errors))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0]:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            print("".join(self.errors))
        else:
            self.close()


class Peer:
    """One end of a connection: raw bytes, with a little knowledge of messages."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(DEADLINE)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def more(self):
        data = self.sock.recv(65536)
        self.buffer += data
        return len(data) > 0

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError(self.buffer)
        at = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:at], self.buffer[at:]
        return data

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError(self.buffer)
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def rest(self):
        try:
            while self.more():
                pass
        except ConnectionError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self, timeout=DEADLINE):
        """Nothing but the end comes."""
        self.sock.settimeout(timeout)
        try:
            return not self.buffer and self.sock.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def silent(self, seconds=0.2):
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def head(self):
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        return lines[0], [tuple(line.split(": ", 1)) for line in lines[1:]]

    def chunked(self):
        body = b""
        while True:
            n = int(self.until(b"\r\n"), 16)
            if n == 0:
                trailers = []
                while (line := self.until(b"\r\n")) != b"\r\n":
                    trailers.append(tuple(line.decode("latin-1").rstrip("\r\n").split(": ", 1)))
                return body, trailers
            body += self.exactly(n)
            assert self.exactly(2) == b"\r\n"

    def body(self, fields, bodyless, to_end):
        named = {k.lower(): v for k, v in fields}
        self.trailers = []
        if bodyless:
            return b""
        if "chunked" in named.get("transfer-encoding", ""):
            body, self.trailers = self.chunked()
            return body
        if "content-length" in named:
            return self.exactly(int(named["content-length"]))
        return self.rest() if to_end else b""

    def response(self, method="GET"):
        """(status, fields, body) of the next final response."""
        while True:
            start, fields = self.head()
            status = int(start.split()[1])
            if status >= 200 or status == 101:
                break
        body = self.body(fields, method == "HEAD" or status in (101, 204, 304), True)
        return status, fields, body

    def request(self):
        """(method, target, fields, body) of the next request."""
        start, fields = self.head()
        method, target, _ = start.split(" ")
        return method, target, fields, self.body(fields, False, False)

    def reset(self):
        import struct
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Backend:
    """serve(peer, number) runs in a thread for each connection; its exceptions fail the test."""

    def __init__(self, serve):
        self.listener = self.listen()
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.peers = []
        self.accepted = queue.Queue()
        self.errors = []
        threading.Thread(target=self.run, daemon=True).start()

    def listen(self):
        return socket.create_server(("127.0.0.1", 0))

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            peer = Peer(sock)
            self.peers.append(peer)
            self.accepted.put(peer)
            threading.Thread(target=self.one, args=(peer, len(self.peers)), daemon=True).start()

    def one(self, peer, number):
        try:
            self.serve(peer, number)
        except (EOFError, OSError):
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.errors.append(e)
        finally:
            peer.close()

    def close(self):
        self.listener.close()
        for p in self.peers:
            p.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        if not exc[0]:
            assert not self.errors, self.errors


def echo(peer, _number):
    """Answers each request with what it saw."""
    while True:
        method, target, fields, body = peer.request()
        text = "\n".join([f"{method} {target}"] + [f"{k.lower()}: {v}" for k, v in fields]).encode() + b"\n\n" + body
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Up: 1\r\n\r\n%s" % (len(text), b"" if method == "HEAD" else text))


def answers(*texts):
    """Answers each request of every connection with these bytes, in turn (the last one for ever)."""
    def serve(peer, _number):
        i = 0
        while True:
            peer.request()
            peer.send(texts[min(i, len(texts) - 1)])
            i += 1
    return serve


def seen(response):
    """What `echo` says it got: (start line, {name: value}, body)."""
    head, _, body = response[2].partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    return lines[0], dict(line.split(": ", 1) for line in lines[1:]), body


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
