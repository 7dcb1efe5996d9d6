"""HTTP/2 with the python h2 library, on either side: a client for a test's thread, a server for a backend's.

The library checks what the gateway says against RFC 9113 and raises where it is wrong; what must be wrong on purpose is
written by hand (tests/unit/worker/proxy/h2_wire.py)."""
import socket
import ssl
import sys

try:
    import h2.connection
except ImportError:  # an interpreter that does not look where Debian's python3-h2 is
    sys.path.append("/usr/lib/python3/dist-packages")
    import h2.connection
import h2.config
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

import gh


class Stream:
    def __init__(self):
        self.heads, self.headers, self.status, self.trailers = [], None, None, None
        self.body, self.ended, self.reset = b"", False, None


class Peer:
    """One connection. Everything happens in the caller's thread: wait() reads until something is true."""

    def __init__(self, sock, client=True, settings=None):
        self.sock = sock
        self.sock.settimeout(gh.DEADLINE)
        self.c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding="latin-1"))
        self.c.local_settings = h2.settings.Settings(client=client, initial_values=settings or {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1000, h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
        self.streams, self.goaways, self.pongs, self.closed = {}, [], [], False
        self.c.initiate_connection()
        self.c.increment_flow_control_window(1 << 20)
        self.flush()

    def flush(self):
        if data := self.c.data_to_send():
            self.sock.sendall(data)

    def stream(self, i):
        return self.streams.setdefault(i, Stream())

    def step(self):
        """Reads once. False at the end of the connection."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return False
        for e in self.c.receive_data(data):
            self.on(e)
        self.flush()
        return True

    def on(self, e):
        i = getattr(e, "stream_id", None)
        if isinstance(e, h2.events.DataReceived):
            self.stream(i).body += e.data
            self.c.acknowledge_received_data(e.flow_controlled_length, i)
        elif isinstance(e, (h2.events.ResponseReceived, h2.events.InformationalResponseReceived)):
            s = self.stream(i)
            s.headers = [(k, v) for k, v in e.headers if k != ":status"]
            s.status = int(dict(e.headers)[":status"])
            s.heads.append(s.status)
        elif isinstance(e, h2.events.RequestReceived):
            self.stream(i).headers = list(e.headers)
        elif isinstance(e, h2.events.TrailersReceived):
            self.stream(i).trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            self.stream(i).ended = True
        elif isinstance(e, h2.events.StreamReset):
            self.stream(i).reset = e.error_code
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaways.append((e.last_stream_id, e.error_code))
        elif isinstance(e, h2.events.PingAckReceived):
            self.pongs.append(e.ping_data)

    def wait(self, what):
        while not what():
            if not self.step():
                raise EOFError(f"closed; GOAWAY {self.goaways}")

    def send(self, i, data, end=False):
        """As the peer's windows allow."""
        while data:
            room = min(len(data), self.c.local_flow_control_window(i), self.c.max_outbound_frame_size)
            if room <= 0:
                self.flush()
                assert self.step()
                continue
            self.c.send_data(i, data[:room], end_stream=end and room == len(data))
            data = data[room:]
            self.flush()

    def end(self, i, trailers=None):
        if trailers:
            self.c.send_headers(i, trailers, end_stream=True)
        else:
            self.c.end_stream(i)
        self.flush()

    def ping(self):
        self.pongs.clear()
        self.c.ping(b"01234567")
        self.flush()
        self.wait(lambda: self.pongs)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client(Peer):
    def __init__(self, port, tls=None, **kw):
        sock = socket.create_connection(("127.0.0.1", port), gh.DEADLINE)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
            assert sock.selected_alpn_protocol() == "h2"
        super().__init__(sock, **kw)

    def open(self, path="/", method="GET", end=True, headers=(), host="a.example.com", **pseudo):
        i = self.c.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
        fields += [(f":{k}", v) for k, v in pseudo.items()] + list(headers)
        self.c.send_headers(i, fields, end_stream=end)
        self.flush()
        return i

    def response(self, i):
        s = self.stream(i)
        self.wait(lambda: s.ended or s.reset is not None)
        assert s.reset is None, f"reset with {s.reset}"
        return s

    def get(self, path="/", **kw):
        return self.response(self.open(path, **kw))


def client_tls():
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    ctx.set_alpn_protocols(["h2"])
    return ctx


class Server(gh.RawServer):
    """A backend: serve(peer, number) for each connection."""

    def __init__(self, serve, settings=None):
        super().__init__(lambda c, number: serve(Peer(c.sock, client=False, settings=settings), number))


def requests(p):
    """Ids of complete requests, as they come."""
    known = set()
    while True:
        for i, s in list(p.streams.items()):
            if s.ended and i not in known:
                known.add(i)
                yield i
        if not p.step():
            return


def answer(p, i, body=b"", status=200, headers=(), trailers=None):
    p.c.send_headers(i, [(":status", str(status)), *headers], end_stream=not body and not trailers)
    if body:
        p.send(i, body, end=not trailers)
    if trailers:
        p.end(i, trailers)
    p.flush()
