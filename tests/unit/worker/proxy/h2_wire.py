"""h2_wire.py - HTTP/2 for tests, on either side: every frame may be written by hand, answers are collected."""
import socket
import struct
import sys

try:
    import hpack
except ImportError:  # an interpreter that does not look where Debian's python3-hpack is
    sys.path.append("/usr/lib/python3/dist-packages")
    import hpack

from wire import Peer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM,
 CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, _, CONNECT_PROTOCOL = range(1, 9)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def window(stream, by):
    return frame(WINDOW, 0, stream, struct.pack(">I", by))


def rst(stream, code=CANCEL):
    return frame(RST, 0, stream, struct.pack(">I", code))


def literal(fields):
    """A block without table and Huffman code, in which anything can be said."""
    def text(s):
        s = s.encode("latin-1") if isinstance(s, str) else s
        n, out = len(s), bytearray()
        if n < 127:
            out.append(n)
        else:
            out.append(127)
            n -= 127
            while n >= 128:
                out.append(n & 127 | 128)
                n >>= 7
            out.append(n)
        return bytes(out) + s
    return b"".join(b"\x00" + text(k) + text(v) for k, v in fields)


def request(path="/", method="GET", authority="a", scheme="http", more=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


class Message:
    def __init__(self):
        self.heads, self.fields, self.status, self.body, self.trailers = [], None, None, b"", None
        self.ended, self.reset, self.refill = False, None, 0


class H2(Peer):
    """One end of an HTTP/2 connection. `grow`: windows are opened as content comes."""

    def __init__(self, sock, client=True, first=(), grow=True, start=True):
        super().__init__(sock)
        self.client, self.grow = client, grow
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.streams, self.next = {}, 1
        self.peer_settings, self.goaways, self.pings, self.acks, self.windows = {}, [], [], 0, {}
        self.block = b""
        self.block_flags = 0
        if start:
            self.start(first)

    def start(self, first=()):
        if self.client:
            self.send(PREFACE)
        self.send(settings(*first))

    def accept(self):
        """The other side's preface, on the side of a server."""
        got = self.exactly(len(PREFACE))
        assert got == PREFACE, got

    def stream(self, i):
        return self.streams.setdefault(i, Message())

    # --- out

    def headers(self, stream, fields, end=False, raw=False, flags=0, split=None):
        block = literal(fields) if raw else self.encoder.encode([hpack.NeverIndexedHeaderTuple(k, v) if k == "never" else (k, v) for k, v in fields])
        pieces = [block] if not split else [block[i:i + split] for i in range(0, len(block), split)]
        for i, piece in enumerate(pieces):
            f = (END_HEADERS if i == len(pieces) - 1 else 0) | (flags | (END_STREAM if end else 0) if i == 0 else 0)
            self.send(frame(CONTINUATION if i else HEADERS, f, stream, piece))

    def open(self, path="/", method="GET", end=True, more=(), authority="a", **kw):
        i, self.next = self.next, self.next + 2
        self.headers(i, request(path, method, authority, more=more), end, **kw)
        return i

    def data(self, stream, data=b"", end=False):
        self.send(frame(DATA, END_STREAM if end else 0, stream, data))

    def content(self, stream, data, end=True):
        """All of it, as the peer's windows allow; reads frames while they do not."""
        sent = self.__dict__.setdefault("sent", {})
        while data:
            room = min(16384, len(data), 65535 + self.windows.get(0, 0) - sent.get(0, 0),
                       self.peer_settings.get(INITIAL_WINDOW_SIZE, 65535) + self.windows.get(stream, 0) - sent.get(stream, 0))
            if room <= 0:
                self.step()
                continue
            piece, data = data[:room], data[room:]
            self.data(stream, piece, end=end and not data)
            for i in (0, stream):
                sent[i] = sent.get(i, 0) + room

    def leave(self):
        """Closes so that nothing sent is lost."""
        self.sock.shutdown(socket.SHUT_WR)
        self.rest()

    # --- in

    def raw_frame(self):
        head = self.exactly(9)
        n = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, self.exactly(n)

    def step(self):
        """Reads one frame and remembers what it said; returns its type."""
        kind, flags, stream, payload = self.raw_frame()
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                k, v = struct.unpack(">HI", payload[at:at + 6])
                self.peer_settings[k] = v
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == SETTINGS:
            self.acks += 1
        elif kind == PING:
            self.pings.append((flags & ACK, payload))
            if not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]) + (payload[8:],))
        elif kind == WINDOW:
            self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, "big")
        elif kind == RST:
            self.stream(stream).reset = int.from_bytes(payload, "big")
        elif kind in (HEADERS, CONTINUATION):
            if kind == HEADERS:
                self.block, self.block_flags = b"", flags
            self.block += payload
            if flags & END_HEADERS:
                self.head(self.stream(stream), [(k.decode() if isinstance(k, bytes) else k, v.decode("latin-1") if isinstance(v, bytes) else v)
                                                for k, v in self.decoder.decode(self.block, raw=True)])
        elif kind == DATA:
            m = self.stream(stream)
            m.body += payload
            m.ended = bool(flags & END_STREAM)
            if self.grow and payload:
                self.send(window(0, len(payload)) + (b"" if m.ended else window(stream, len(payload))))
        return kind

    def head(self, m, fields):
        named = dict(fields)
        m.ended = bool(self.block_flags & END_STREAM)
        if ":status" in named:
            m.heads.append(fields)
            m.status = int(named[":status"])
            m.fields = [f for f in fields if f[0] != ":status"]
        elif ":method" in named:
            m.fields = fields
        else:
            m.trailers = fields

    def wait(self, what):
        """Reads frames until what() is true."""
        while not what():
            self.step()

    def response(self, stream):
        """(status, fields, body) of a complete answer."""
        m = self.stream(stream)
        self.wait(lambda: m.ended or m.reset is not None)
        assert m.ended, f"reset with {m.reset}"
        return m.status, m.fields, m.body

    def get(self, path="/", **kw):
        return self.response(self.open(path, **kw))

    def outcome(self, stream):
        """The status, or "reset N", "goaway N", "closed": whatever comes first."""
        m = self.stream(stream)
        try:
            self.wait(lambda: m.ended or m.reset is not None or self.goaways)
        except (EOFError, ConnectionError):
            return "closed"
        if m.ended:
            return m.status
        return f"reset {m.reset}" if m.reset is not None else f"goaway {self.goaways[0][1]}"

    def ended(self):
        """Reads to the end of the connection; the code of the last GOAWAY, or None."""
        try:
            while True:
                self.step()
        except (EOFError, ConnectionError):
            pass
        return self.goaways[-1][1] if self.goaways else None

    def ping(self, opaque=b"12345678"):
        """A round trip: everything sent before has been read by then."""
        self.send(frame(PING, 0, 0, opaque))
        self.wait(lambda: (ACK, opaque) in self.pings)
        self.pings.remove((ACK, opaque))
