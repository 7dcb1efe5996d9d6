"""TLS handshakes and records that are wrong in one way each, TLS 1.2 and 1.3: what the gateway says must be what the RFCs want (or the
end), never an answer, and it must go on serving. The themes of tlsfuzzer's scripts, with bytes by hand."""
import collections
import contextlib
import random
import socket
import struct

from aborts import hello
from common import Figures, VERSIONS, ask, client_context, connect_tls, gh, https_files, progress

ALERTS = {0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 42: "bad_certificate",
          47: "illegal_parameter", 50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
          86: "inappropriate_fallback", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name", 116: "certificate_required",
          120: "no_application_protocol"}


# ---- a ClientHello in pieces ----
class Hello:
    def __init__(self, data):
        """From the record(s) that a client would send."""
        body = data[9:]
        self.version, self.random = body[:2], body[2:34]
        n = body[34]
        self.session, at = body[35:35 + n], 35 + n
        n = int.from_bytes(body[at:at + 2], "big")
        self.suites, at = body[at + 2:at + 2 + n], at + 2 + n
        n = body[at]
        self.compression, at = body[at + 1:at + 1 + n], at + 1 + n
        end = at + 2 + int.from_bytes(body[at:at + 2], "big")
        at, self.extensions = at + 2, []
        while at < end:
            kind, n = struct.unpack(">HH", body[at:at + 4])
            self.extensions.append((kind, body[at + 4:at + 4 + n]))
            at += 4 + n
        self.after = b""

    def extension(self, kind, data):
        """Replaces it, or adds it in front (pre_shared_key must stay last)."""
        known = any(k == kind for k, _ in self.extensions)
        self.extensions = [(k, data if k == kind else v) for k, v in self.extensions] if known else [(kind, data), *self.extensions]
        return self

    def without(self, *kinds):
        self.extensions = [e for e in self.extensions if e[0] not in kinds]
        return self

    def body(self):
        ext = b"".join(struct.pack(">HH", k, len(v)) + v for k, v in self.extensions)
        return (self.version + self.random + bytes([len(self.session)]) + self.session + struct.pack(">H", len(self.suites)) + self.suites
                + bytes([len(self.compression)]) + self.compression + (struct.pack(">H", len(ext)) + ext if self.extensions else b"") + self.after)

    def message(self):
        b = self.body()
        return b"\x01" + len(b).to_bytes(3, "big") + b


def record(data, kind=22, version=b"\x03\x01"):
    return bytes([kind]) + version + struct.pack(">H", len(data)) + data


def split(message, at):
    return record(message[:at]) + record(message[at:])


def with_(change):
    """A case that changes the hello and sends it in one record."""
    def build(h, r):
        change(h)
        return record(h.message())
    return build


def set_(**kw):
    return with_(lambda h: h.__dict__.update(kw))


RETRY = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")  # its random (RFC 8446, 4.1.3)
ENDS = {"closed"}
DECODE = {"decode_error", "illegal_parameter", "closed"}
ANY = set(ALERTS.values()) | ENDS
SERVES = {"serves"}
# name: (build, what is right). "serves": a ServerHello came.
HELLOS = {
    "as it is": (lambda h, r: record(h.message()), SERVES),
    "in two records": (lambda h, r: split(h.message(), 50), SERVES),
    "in records of one byte": (lambda h, r: b"".join(record(h.message()[i:i + 1]) for i in range(len(h.message()))), SERVES | ANY),
    "header of the message cut": (lambda h, r: split(h.message(), 2), SERVES),
    "record version 3.0": (lambda h, r: record(h.message(), version=b"\x03\x00"), SERVES | ANY),
    "record version 3.3": (lambda h, r: record(h.message(), version=b"\x03\x03"), SERVES),
    "record version 3.255": (lambda h, r: record(h.message(), version=b"\x03\xff"), SERVES | ANY),
    "record version 2.0": (lambda h, r: record(h.message(), version=b"\x02\x00"), ANY),
    "empty record in front": (lambda h, r: record(b"") + record(h.message()), ANY),
    "record too large": (lambda h, r: b"\x16\x03\x01\x48\x01" + bytes(0x4801), ANY),
    "application data first": (lambda h, r: record(b"GET / HTTP/1.1\r\n\r\n", 23), ANY),
    "change cipher spec first": (lambda h, r: record(b"\x01", 20), ANY),
    "heartbeat first": (lambda h, r: record(b"\x01\x40\x00" + bytes(16), 24), ANY),
    "unknown content type": (lambda h, r: record(h.message(), 99), ANY),
    "SSLv2 hello": (lambda h, r: b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37), ANY),
    "finished first": (lambda h, r: record(b"\x14\x00\x00\x0c" + bytes(12)), ANY),
    "hello request first": (lambda h, r: record(b"\x00\x00\x00\x00"), ANY),
    "unknown message type": (lambda h, r: record(b"\x63\x00\x00\x04abcd"), ANY),
    "message of 16 MiB": (lambda h, r: record(b"\x01\xff\xff\xff" + h.body()) + record(bytes(16000)) * 20, ANY),
    "length one too long": (lambda h, r: record(b"\x01" + (len(h.body()) - 1).to_bytes(3, "big") + h.body()), ANY),
    "bytes behind the extensions": (lambda h, r: (h.__dict__.update(after=b"\0\0"), record(h.message()))[1], ANY),
    "hello twice in one record": (lambda h, r: record(h.message() * 2), ANY | SERVES),
    "random cut off": (lambda h, r: record(b"\x01\x00\x00\x10\x03\x03" + bytes(14)), ANY),
    "session id of 33": (set_(session=bytes(33)), ANY),
    "session id of 255": (set_(session=bytes(255)), ANY),
    "no suites": (set_(suites=b""), ANY),
    "an odd length of suites": (set_(suites=b"\x13\x01\x13"), ANY),
    "suites that nobody knows": (set_(suites=b"\xee\xee\xee\xef"), {"handshake_failure", "closed"}),
    "NULL and EXPORT suites": (set_(suites=b"\x00\x00\x00\x01\x00\x02\x00\x03\x00\x08\x00\x3b"), {"handshake_failure", "closed"}),
    "RC4 and 3DES suites": (set_(suites=b"\x00\x05\x00\x0a\xc0\x11\xc0\x12"), {"handshake_failure", "closed"}),
    "CBC suites": (set_(suites=b"\xc0\x13\xc0\x14\xc0\x23\xc0\x27\x00\x2f\x00\x35"), {"handshake_failure", "closed"}),
    "RSA key exchange": (set_(suites=b"\x00\x9c\x00\x9d\x00\x2f"), {"handshake_failure", "closed"}),
    "anonymous suites": (set_(suites=b"\x00\x34\x00\xa6\xc0\x18"), {"handshake_failure", "closed"}),
    "DHE suites": (set_(suites=b"\x00\x9e\x00\x9f"), {"handshake_failure", "closed"}),
    "PSK suites": (set_(suites=b"\x00\xa8\x00\xa9"), {"handshake_failure", "closed"}),
    "16,000 suites": (lambda h, r: (h.__dict__.update(suites=b"\xee\xee" * 8000), record(h.message()[:16384]) + record(h.message()[16384:]))[1], ANY),
    "no compression method": (set_(compression=b""), ANY),
    "only DEFLATE": (set_(compression=b"\x01"), ANY),
    "DEFLATE and none": (set_(compression=b"\x01\x00"), ANY | SERVES),  # 1.3: illegal_parameter; 1.2 ignores it
    "no extensions": (lambda h, r: (h.__dict__.update(extensions=[]), record(h.message()))[1], ANY | SERVES),
    "the same extension twice": (with_(lambda h: h.extensions.append(h.extensions[0])), ANY),
    "an unknown extension": (with_(lambda h: h.extension(0xfafa, b"x" * 100)), SERVES),
    "a hundred unknown extensions": (with_(lambda h: [h.extension(0xf000 + i, b"") for i in range(100)]), ANY | SERVES),
    "extension longer than the rest": (lambda h, r: record(b"\x01" + (len(h.body()) + 4).to_bytes(3, "big") + h.body() + b"\x00\x0b\xff\xff"), ANY),
    "server name empty": (with_(lambda h: h.extension(0, b"")), ANY),
    "server name of no letters": (with_(lambda h: h.extension(0, b"\0\3\0\0\0")), ANY),
    "server name with NUL": (with_(lambda h: h.extension(0, b"\0\x0c\0\0\x09a.ex\0mple")), ANY),
    "server name too long": (with_(lambda h: h.extension(0, b"\0\x13\0\0\xffa.example.com")), ANY),
    "two server names": (with_(lambda h: h.extension(0, b"\0\x20" + b"\0\0\x0da.example.com" * 2)), ANY),
    "server name of another type": (with_(lambda h: h.extension(0, b"\0\x10\x01\0\x0da.example.com")), ANY | SERVES),
    "ALPN empty": (with_(lambda h: h.extension(16, b"\0\0")), ANY),
    "ALPN with an empty name": (with_(lambda h: h.extension(16, b"\0\1\0")), ANY),
    "ALPN of unknown names": (with_(lambda h: h.extension(16, b"\0\4\3foo")), {"no_application_protocol"}),
    "ALPN cut": (with_(lambda h: h.extension(16, b"\0\x09\x08http/1")), ANY),
    "groups empty": (with_(lambda h: h.extension(10, b"\0\0")), ANY),
    "groups that nobody knows": (with_(lambda h: h.without(51).extension(10, b"\0\2\xfe\xfe")), ANY),
    "groups of odd length": (with_(lambda h: h.extension(10, b"\0\3\0\x17\0")), ANY),
    "signatures empty": (with_(lambda h: h.extension(13, b"\0\0")), ANY),
    "signatures that nobody knows": (with_(lambda h: h.extension(13, b"\0\2\xfe\xfe")), ANY),
    "MD5 and SHA-1 signatures": (with_(lambda h: h.extension(13, b"\0\x08\1\1\1\3\2\1\2\3")), ANY),
    "signatures of odd length": (with_(lambda h: h.extension(13, b"\0\3\4\3\4")), ANY),
    "heartbeat extension": (with_(lambda h: h.extension(15, b"\1")), SERVES),
    "max fragment length of 9": (with_(lambda h: h.extension(1, b"\x09")), ANY | SERVES),
    "point formats without uncompressed": (with_(lambda h: h.extension(11, b"\1\1")), ANY | SERVES),
    "renegotiation info not empty": (with_(lambda h: h.extension(0xff01, b"\x04abcd")), ANY | SERVES),  # 1.3 does not know it
    "extended master secret not empty": (with_(lambda h: h.extension(23, b"x")), ANY | SERVES),  # nor this
    "session ticket of rubbish": (with_(lambda h: h.extension(35, bytes(range(256)))), SERVES),
    "session ticket of one byte": (with_(lambda h: h.extension(35, b"x")), SERVES),
    "early data": (with_(lambda h: h.extension(42, b"")), ANY | SERVES),
}
ONLY_12 = {
    "TLS 1.0": (with_(lambda h: (h.__dict__.update(version=b"\3\1"), h.without(43))), {"protocol_version"}),
    "TLS 1.1": (with_(lambda h: (h.__dict__.update(version=b"\3\2"), h.without(43))), {"protocol_version"}),
    "SSL 3": (with_(lambda h: (h.__dict__.update(version=b"\3\0"), h.without(43))), {"protocol_version", "closed"}),
    "a version of the future": (with_(lambda h: (h.__dict__.update(version=b"\3\x0a"), h.without(43))), SERVES | ANY),
    "fallback signal": (with_(lambda h: h.__dict__.update(suites=h.suites + b"\x56\x00")), {"inappropriate_fallback"}),
    "fallback signal at 1.1": (with_(lambda h: h.__dict__.update(version=b"\3\2", suites=h.suites + b"\x56\x00")), {"inappropriate_fallback", "protocol_version"}),
}
ONLY_13 = {
    "versions empty": (with_(lambda h: h.extension(43, b"\0")), ANY),
    "versions of odd length": (with_(lambda h: h.extension(43, b"\3\3\4\3")), ANY),
    "versions that nobody knows": (with_(lambda h: h.extension(43, b"\2\7\x17")), {"protocol_version"}),
    "versions below 1.2": (with_(lambda h: h.extension(43, b"\4\3\2\3\1")), {"protocol_version"}),
    "versions: GREASE and 1.3": (with_(lambda h: h.extension(43, b"\4\x0a\x0a\3\4")), SERVES),
    "no key share": (with_(lambda h: h.without(51)), {"missing_extension"}),
    "no groups": (with_(lambda h: h.without(10)), {"missing_extension"}),
    "no signatures": (with_(lambda h: h.without(13)), {"missing_extension", "handshake_failure"}),
    "key shares empty": (with_(lambda h: h.extension(51, b"\0\0")), {"retry"}),
    "key share of a group not offered": (with_(lambda h: h.extension(51, b"\0\x06\x01\x00\0\2ab")), ANY | SERVES | {"retry"}),
    "key share of zeros": (with_(lambda h: h.extension(51, b"\0\x24\0\x1d\0\x20" + bytes(32))), ANY),
    "key share too short": (with_(lambda h: h.extension(51, b"\0\x23\0\x1d\0\x1f" + bytes(31))), ANY),
    "point that is not on the curve": (with_(lambda h: h.extension(51, b"\0\x45\0\x17\0\x41\x04" + b"\1" * 64)), ANY),
    "point at infinity": (with_(lambda h: h.extension(51, b"\0\x05\0\x17\0\1\0")), ANY),
    "compressed point": (with_(lambda h: h.extension(51, b"\0\x25\0\x17\0\x21\x02" + b"\1" * 32)), ANY),
    "the same share twice": (with_(lambda h: h.extension(51, b"\0\x48" + (b"\0\x1d\0\x20" + b"\2" * 32) * 2)), ANY),
    "key exchange mode of no kind": (with_(lambda h: h.extension(45, b"\1\x7f")), SERVES | ANY),
    "pre-shared key not last": (with_(lambda h: h.extensions.insert(0, (41, PSK))), ANY),
    "pre-shared key of rubbish": (with_(lambda h: h.extensions.append((41, PSK))), SERVES | ANY),
    "pre-shared key without modes": (with_(lambda h: (h.without(45), h.extensions.append((41, PSK)))), ANY),
    "more binders than keys": (with_(lambda h: h.extensions.append((41, PSK[:-35] + b"\0\x42" + (b"\x20" + bytes(32)) * 2))), ANY | SERVES),
    "a cookie that nobody gave": (with_(lambda h: h.extension(44, b"\0\4abcd")), ANY | SERVES),
    "legacy version 3.1": (set_(version=b"\3\1"), SERVES | ANY),
    "legacy version 3.4": (set_(version=b"\3\4"), SERVES | ANY),
}
# What wolfSSL is laxer with than RFC 8446 demands, and why it may stay so.
KNOWN = {
    "no groups, TLS 1.3": "a key share without supported_groups is taken (9.2 wants missing_extension); nothing is chosen that was not offered",
    "the same share twice, TLS 1.3": "the first of two shares of a group is taken (4.2.8 lets the server abort)",
    "pre-shared key without modes, TLS 1.3": "the key is ignored and the handshake is a full one (4.2.9 wants an alert)",
}
PSK = b"\0\x0a\0\4abcd\0\0\0\0" + b"\0\x21\x20" + bytes(32)

# What comes behind a whole hello that was answered, where a handshake message is due.
THEN = {
    "application data in plain text": record(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", 23, b"\3\3"),
    "an empty alert": record(b"", 21, b"\3\3"), "an alert of one byte": record(b"\2", 21, b"\3\3"),
    "a warning": record(b"\1\x5a", 21, b"\3\3"), "a hundred warnings": record(b"\1\x5a", 21, b"\3\3") * 100,
    "an unknown alert": record(b"\2\xc8", 21, b"\3\3"), "hello again": None,
    "finished of zeros": record(b"\x14\0\0\x0c" + bytes(12), 22, b"\3\3"),
    "change cipher spec twice": record(b"\1", 20, b"\3\3") * 2, "a thousand change cipher spec": record(b"\1", 20, b"\3\3") * 1000,
    "change cipher spec of 2": record(b"\2", 20, b"\3\3"), "long change cipher spec": record(b"\1\1", 20, b"\3\3"),
    "empty change cipher spec": record(b"", 20, b"\3\3"), "empty handshake records": record(b"", 22, b"\3\3") * 1000,
    "certificate of nobody": record(b"\x0b\0\0\3\0\0\0", 22, b"\3\3"), "a key exchange without a point": record(b"\x10\0\0\1\0", 22, b"\3\3"),
    "a point that is not on the curve": record(b"\x10\0\0\x42\x41\x04" + b"\1" * 64, 22, b"\3\3"),
    "a short X25519 key": record(b"\x10\0\0\x05\x04abcd", 22, b"\3\3"), "X25519 of zeros": record(b"\x10\0\0\x21\x20" + bytes(32), 22, b"\3\3"),
    "record of 16 KiB and 1": record(bytes(16385), 22, b"\3\3"), "half a record": b"\x16\3\3\x01\0abc", "random bytes": bytes(range(256)),
    "key update in plain text": record(b"\x18\0\0\1\0", 22, b"\3\3"), "end of early data": record(b"\x05\0\0\0", 22, b"\3\3"),
    "new session ticket from a client": record(b"\x04\0\0\6\0\0\0\0\0\0", 22, b"\3\3"),
    "a message of 16 MiB": record(b"\x10\xff\xff\xff" + bytes(1000), 22, b"\3\3") + record(bytes(16000), 22, b"\3\3") * 10,
}


def outcome(s):
    """The last alert's name, "serves" for a ServerHello and what follows it, "retry" for a HelloRetryRequest, "closed"."""
    got = b""
    with contextlib.suppress(OSError):  # not connected any more
        s.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        while piece := s.recv(65536):
            got += piece
    kinds, at, alert = [], 0, None
    while at + 5 <= len(got):
        kind, n = got[at], int.from_bytes(got[at + 3:at + 5], "big")
        kinds.append((kind, got[at + 5:at + 6]))
        if kind == 21 and n == 2:
            alert = ALERTS.get(got[at + 6], got[at + 6])
        at += 5 + n
    if RETRY in got:
        return "retry"
    said = [k for k, _ in kinds]
    if (22, b"\2") in kinds and (23 in said or said.count(22) > 1):  # and the certificate
        return "serves"
    return alert or "closed"


def cases(versions=VERSIONS):
    for word, version in versions.items():
        for name, (build, right) in {**HELLOS, **(ONLY_12 if word == "1.2" else ONLY_13)}.items():
            yield f"{name}, TLS {word}", version, build, right


def records(count=2000, seed=1):
    r, wrong, seen, n = random.Random(seed), {}, collections.Counter(), 0
    with gh.Upstream() as u, gh.Gateway(https_files(u)) as g:
        def honest():
            with connect_tls(g.port, client_context()) as s:
                assert ask(s).startswith(b"HTTP/1.1 200")

        def fresh():
            s = socket.create_connection(("127.0.0.1", g.port), 20)
            return contextlib.closing(s)
        honest()
        figures = Figures(g).settled()
        for name, version, build, right in cases():
            n += 1
            data = build(Hello(hello(version)[3]), r)
            with fresh() as s:
                with contextlib.suppress(ConnectionError):
                    s.sendall(data)
                try:
                    got = outcome(s)
                except TimeoutError:
                    got = "waits"
            seen[got] += 1
            if got not in right:
                wrong[name] = got
        honest()
        for word, version in VERSIONS.items():
            for name, data in THEN.items():
                n += 1
                first = hello(version)[3]
                with fresh() as s, contextlib.suppress(ConnectionError):
                    s.sendall(first)
                    s.recv(65536)
                    s.sendall(data if data is not None else first)
                    try:
                        got = outcome(s)
                    except TimeoutError:
                        got = "waits"
                    seen[got] += 1
                    if got == "waits" or u.count() > 2:
                        wrong[f"then {name}, TLS {word}"] = got
        honest()
        for i in range(count):  # and a hello with bytes changed, cut or doubled anywhere
            n += 1
            data = bytearray(hello(r.choice(list(VERSIONS.values())))[3])
            for _ in range(r.randrange(1, 6)):
                at, what = r.randrange(len(data)), r.randrange(4)
                if what == 0:
                    data[at] = r.randrange(256)
                elif what == 1:
                    del data[at:at + r.randrange(1, 9)]
                elif what == 2:
                    data[at:at] = data[at:at + r.randrange(1, 9)]
                else:
                    data[at:at + 2] = struct.pack(">H", r.choice([0, 1, 255, 65535, len(data), r.randrange(65536)]))
                if not data:
                    data = bytearray(b"\x16")
            with fresh() as s, contextlib.suppress(ConnectionError):
                s.sendall(data)
                try:
                    got = outcome(s)
                except TimeoutError:
                    got = "waits"
                seen[got if isinstance(got, str) else "odd alert"] += 1
                if got == "waits":
                    wrong[f"random {i}"] = data.hex()
            if i % 500 == 499:
                honest()
                progress(i + 1, "random hellos")
        honest()
        report = figures.settled().report()
        known = {k: f"{wrong.pop(k)}: {why}" for k, why in KNOWN.items() if k in wrong}
        return dict(handshakes=n, outcomes=dict(seen), wrong=wrong, known=known, figures={k: v for k, v in report.items() if k != "each"})


def records_faults(r):
    bad = ["wrong"] if r["wrong"] else []
    return bad + ([] if r["figures"]["most_fds_more"] < 5 and not r["figures"]["gone"] and r["figures"]["largest_growth_kib"] < 2048 else ["figures"])
