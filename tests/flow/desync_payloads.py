"""Hostile and odd HTTP/1.1 as data: what a client (classes A-F, I, J) or an upstream (H) may send us.

A-F  PAYLOADS: the bytes of one connection. REFUSED: 4xx or 5xx and close, and nothing of it reaches an
     upstream as a complete message. CLEAN: forwarded, and what is forwarded is one strict message (see
     strict_parser.judge_forwarded). EITHER: one of the two. Most carry SMUGGLED where a reader that takes
     the other interpretation would find a request; its target must never be seen by an upstream.
H    RESPONSES: what an upstream answers, and what becomes of it.
I    SCENARIOS: who says what in which order.
J    PATHS: a raw path, and the one form that matching and the upstream see (None: 400).

All requests are for HOST. A harness on top of this drives the real gateway; the self-test checks the data
against strict_parser and against the gateway's own parser.
"""
import dataclasses

REFUSED, CLEAN, EITHER = "refused", "clean", "either"
HOST = b"desync.test"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\n"


@dataclasses.dataclass(frozen=True)
class Payload:
    cls: str
    name: str
    data: bytes
    verdict: str

    def __str__(self):
        return f"{self.cls}: {self.name}"


def request(*lines, method=b"POST", target=b"/", version=b"HTTP/1.1", body=b""):
    """A head with the given field lines (each with what ends it, if not CRLF) and what follows it."""
    head = method + b" " + target + b" " + version + b"\r\nHost: " + HOST + b"\r\n"
    return head + b"".join(line if line.endswith(b"\n") else line + b"\r\n" for line in lines) + b"\r\n" + body


# ---- A: Content-Length ----
def length(value, body=b"hello" + SMUGGLED, name=b"Content-Length: "):
    return request(name + value, body=body)


CLASS_A = [Payload("A", name, data, verdict) for name, data, verdict in [
    ("plus", length(b"+5"), REFUSED),
    ("minus", length(b"-5"), REFUSED),
    ("hex", length(b"0x5"), REFUSED),
    ("underscore in the number", length(b"0_5"), REFUSED),
    ("decimal point", length(b"5.0"), REFUSED),
    ("letter behind", length(b"5a"), REFUSED),
    ("empty", length(b""), REFUSED),
    ("inner space", length(b"5 5"), REFUSED),
    ("list of equal values", length(b"5, 5"), EITHER),
    ("list of different values", length(b"5, 0"), REFUSED),
    ("twice, equal", request(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), EITHER),
    ("twice, different", request(b"Content-Length: 5", b"Content-Length: 0", body=b"hello" + SMUGGLED), REFUSED),
    ("2^64 + 5", length(b"18446744073709551621"), REFUSED),
    ("NUL behind", length(b"5\0"), REFUSED),
    ("minus zero", length(b"-0", body=SMUGGLED), REFUSED),
    ("octal prefix", length(b"0o5"), REFUSED),
    ("leading zeros", length(b"0005", body=b"hello"), EITHER),
    ("space before the colon", length(b"5", name=b"Content-Length : "), REFUSED),
    ("vertical tab before", length(b"\x0b5"), REFUSED),
    ("alias with underscore", length(b"46", body=b"", name=b"Content_Length: "), EITHER),
    ("GET with content", request(b"Content-Length: %d" % len(SMUGGLED), method=b"GET", body=SMUGGLED), EITHER),
    ("empty, then a real one", request(b"Content-Length:", b"Content-Length: 5", body=b"hello"), REFUSED),
]]

# ---- B: Transfer-Encoding ----
CHUNKED_BODY = b"0\r\n\r\n"
CODINGS = [
    ("unknown word", b"Transfer-Encoding: xchunked"),
    ("leading comma", b"Transfer-Encoding: ,chunked"),
    ("trailing comma", b"Transfer-Encoding: chunked,"),
    ("quoted", b'Transfer-Encoding: "chunked"'),
    ("space before the colon", b"Transfer-Encoding : chunked"),
    ("vertical tab before", b"Transfer-Encoding: \x0bchunked"),
    ("form feed behind", b"Transfer-Encoding: chunked\x0c"),
    ("NUL behind", b"Transfer-Encoding: chunked\0"),
    ("0xA0 before", b"Transfer-Encoding: \xa0chunked"),
    ("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ("identity, then chunked", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked"),
    ("chunked, identity", b"Transfer-Encoding: chunked, identity"),
    ("chunked, chunked", b"Transfer-Encoding: chunked, chunked"),
    ("gzip", b"Transfer-Encoding: gzip"),
    ("empty", b"Transfer-Encoding:"),
    ("folded", b"Transfer-Encoding:\r\n chunked"),
    ("parameter", b"Transfer-Encoding: chunked;q=1"),
    ("CR inside", b"Transfer-Encoding: chunked\rX: y"),
    ("LF inside", b"X: y\nTransfer-Encoding: chunked"),
    ("alias with underscore", b"Transfer_Encoding: chunked"),
]
ALIAS_ALONE = request(b"Transfer_Encoding: chunked")
CLASS_B = [Payload("B", name, request(line, body=CHUNKED_BODY + SMUGGLED), REFUSED)
           for name, line in CODINGS[:-1]]
CLASS_B += [Payload("B", name + ", with Content-Length",
                    request(b"Content-Length: %d" % len(CHUNKED_BODY), line, body=CHUNKED_BODY), REFUSED)
            for name, line in CODINGS[:-1]]
CLASS_B += [Payload("B", name, data, verdict) for name, data, verdict in [
    ("alias with underscore", ALIAS_ALONE, EITHER),
    ("alias with underscore, with Content-Length",
     request(b"Content-Length: 5", b"Transfer_Encoding: chunked", body=CHUNKED_BODY), EITHER),
    ("mixed case", request(b"Transfer-Encoding: cHuNkEd", body=CHUNKED_BODY), CLEAN),
    ("Content-Length, then chunked",
     request(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=CHUNKED_BODY + SMUGGLED), REFUSED),
    ("chunked, then Content-Length",
     request(b"Transfer-Encoding: chunked", b"Content-Length: %d" % (5 + len(SMUGGLED)),
             body=CHUNKED_BODY + SMUGGLED), REFUSED),
    ("in HTTP/1.0", request(b"Transfer-Encoding: chunked", b"Connection: keep-alive", version=b"HTTP/1.0",
                            body=CHUNKED_BODY), REFUSED),
    ("in HTTP/1.0, with Content-Length",
     request(b"Transfer-Encoding: chunked", b"Content-Length: 5", version=b"HTTP/1.0", body=CHUNKED_BODY),
     REFUSED),
]]


# ---- C: chunk framing ----
def chunked(body):
    return request(b"Transfer-Encoding: chunked", body=body)


END = b"0\r\n\r\n"
CLASS_C = [Payload("C", name, chunked(body), verdict) for name, body, verdict in [
    ("size with 0x", b"0x5\r\nhello\r\n" + END, REFUSED),
    ("size with +", b"+5\r\nhello\r\n" + END, REFUSED),
    ("size with -", b"-5\r\nhello\r\n" + END, REFUSED),
    ("size with _", b"0_5\r\nhello\r\n" + END, REFUSED),
    ("space before the size", b" 5\r\nhello\r\n" + END, REFUSED),
    ("space behind the size", b"5 \r\nhello\r\n" + END, REFUSED),
    ("empty size", b"\r\nhello\r\n" + END, REFUSED),
    ("size is not hex", b"g\r\nhello\r\n" + END, REFUSED),
    ("size of 17 digits", b"10000000000000005\r\nhello\r\n" + END, REFUSED),
    ("size with many zeros", b"0" * 400 + b"5\r\nhello\r\n" + END, EITHER),
    ("LF behind the size", b"5\nhello\r\n" + END, REFUSED),
    ("LF behind the data", b"5\r\nhello\n" + END, REFUSED),
    ("LF behind the last size", b"5\r\nhello\r\n0\n\r\n", REFUSED),
    ("LF at the very end", b"5\r\nhello\r\n0\r\n\n" + SMUGGLED, REFUSED),
    ("CR behind the size", b"5\rhello\r\n" + END, REFUSED),
    ("CR behind the data", b"5\r\nhello\r" + END, REFUSED),
    ("CR behind the last size", b"5\r\nhello\r\n0\r\r\n\r\n", REFUSED),
    ("no CRLF behind the data", b"5\r\nhello" + END, REFUSED),
    ("LF in an extension", b"5;a\nb\r\nhello\r\n" + END, REFUSED),
    ("CR in an extension", b"5;a\rb\r\nhello\r\n" + END, REFUSED),
    ("NUL in an extension", b"5;a\0b\r\nhello\r\n" + END, REFUSED),
    ("extension of 64 KiB", b"5;" + b"a" * 65536 + b"\r\nhello\r\n" + END, REFUSED),
    ("semicolon without extension", b"5;\r\nhello\r\n" + END, REFUSED),
    ("trailer Content-Length", b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", EITHER),
    ("trailer Transfer-Encoding", b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", EITHER),
    ("trailer Host", b"5\r\nhello\r\n0\r\nHost: other.test\r\n\r\n", EITHER),
    ("trailer without colon", b"5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n", REFUSED),
    ("another CRLF between chunks", b"5\r\nhello\r\n\r\n" + END, REFUSED),
]]

# ---- D: field syntax ----
CLASS_D = [Payload("D", name, request(*lines, method=b"GET"), REFUSED) for name, *lines in [
    ("space in a name", b"X Y: z"),
    ("NUL in a name", b"X\0Y: z"),
    ("high bit in a name", b"X\xe4: z"),
    ("empty name", b": z"),
    ("no colon", b"X-No-Colon"),
    ("CR in a value", b"X: a\rContent-Length: 5"),
    ("LF in a value", b"X: a\nContent-Length: 5"),
    ("NUL in a value", b"X: a\0b"),
    ("control byte in a value", b"X: a\x01b"),
    ("folded line", b"X: a\r\n b"),
]]
CLASS_D += [Payload("D", name, data, REFUSED) for name, data in [
    ("leading space", b"GET / HTTP/1.1\r\n Host: " + HOST + b"\r\nHost: " + HOST + b"\r\n\r\n"),
    ("CR CR LF ends the head", b"GET / HTTP/1.1\r\nHost: " + HOST + b"\r\n\r\r\n" + SMUGGLED),
    ("LF LF ends the head", b"GET / HTTP/1.1\r\nHost: " + HOST + b"\n\n" + SMUGGLED),
]]


# ---- E: request line and Host ----
def line(text, *hosts):
    return text + b"\r\n" + b"".join(b"Host: " + h + b"\r\n" for h in hosts or (HOST,)) + b"\r\n"


CLASS_E = [Payload("E", name, data, verdict) for name, data, verdict in [
    ("tab between the parts", line(b"GET\t/\tHTTP/1.1"), REFUSED),
    ("LF ends the request line", b"GET / HTTP/1.1\nHost: " + HOST + b"\r\n\r\n", REFUSED),
    ("two spaces", line(b"GET  / HTTP/1.1"), REFUSED),
    ("space in the target", line(b"GET /a b HTTP/1.1"), REFUSED),
    ("version 1.1x", line(b"GET / HTTP/1.1x"), REFUSED),
    ("version 1.01", line(b"GET / HTTP/1.01"), REFUSED),
    ("version 2.0", line(b"GET / HTTP/2.0"), REFUSED),
    ("version in lower case", line(b"GET / http/1.1"), REFUSED),
    ("NUL in the target", line(b"GET /a\0b HTTP/1.1"), REFUSED),
    ("control byte in the target", line(b"GET /a\x01b HTTP/1.1"), REFUSED),
    ("high bit in the target", line(b"GET /\xc3\xa4 HTTP/1.1"), REFUSED),
    ("fragment in the target", line(b"GET /a#b HTTP/1.1"), REFUSED),
    ("target without a slash", line(b"GET a HTTP/1.1"), REFUSED),
    ("one CRLF before", b"\r\n" + line(b"GET / HTTP/1.1"), CLEAN),
    ("two CRLF before", b"\r\n\r\n" + line(b"GET / HTTP/1.1"), REFUSED),
    ("LF before", b"\n" + line(b"GET / HTTP/1.1"), REFUSED),
    ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", REFUSED),
    ("Host twice", line(b"GET / HTTP/1.1", HOST, b"other.test"), REFUSED),
    ("Host is a list", line(b"GET / HTTP/1.1", HOST + b", other.test"), REFUSED),
    ("Host with userinfo", line(b"GET / HTTP/1.1", b"other.test@" + HOST), REFUSED),
    ("Host with a path", line(b"GET / HTTP/1.1", HOST + b"/other"), REFUSED),
    ("absolute form with another Host",
     line(b"GET http://" + HOST + b"/ HTTP/1.1", b"other.test"), CLEAN),
]]

# ---- F: fields of one hop ----
CLASS_F = [Payload("F", name, data, verdict) for name, data, verdict in [
    ("Upgrade with content", request(b"Connection: upgrade", b"Upgrade: websocket",
                                     b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), REFUSED),
    ("Connection names Content-Length",
     request(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"), REFUSED),
    ("Connection names Transfer-Encoding",
     request(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked", body=CHUNKED_BODY), REFUSED),
    ("Connection names Host", request(b"Connection: Host", method=b"GET"), REFUSED),
    ("h2c", request(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__",
                    method=b"GET"), CLEAN),
    ("unknown expectation", request(b"Expect: 200-ok", b"Content-Length: 5", body=b"hello"), REFUSED),
    ("CONNECT with data", b"CONNECT " + HOST + b":443 HTTP/1.1\r\nHost: " + HOST + b":443\r\n\r\n" + SMUGGLED,
     REFUSED),
]]

PAYLOADS = CLASS_A + CLASS_B + CLASS_C + CLASS_D + CLASS_E + CLASS_F

# ---- H: responses ----
BAD_GATEWAY, PASS, ABORT = "502", "pass", "abort"
"""BAD_GATEWAY: the client gets a 502 of ours. PASS: the client gets the response, made clean. ABORT: the head
has gone out already, so the client's connection ends before the message does."""


@dataclasses.dataclass(frozen=True)
class Response:
    name: str
    data: bytes
    verdict: str
    reuse: bool = False    # may this upstream connection carry another request?
    method: bytes = b"GET"
    closes: bool = False   # the upstream closes behind the data
    body: bytes = b""      # what the client must get, with PASS
    status: int = 200      # ... and with which status

    def __str__(self):
        return f"H: {self.name}"


def response(*lines, status=b"200 OK", version=b"HTTP/1.1", body=b""):
    return version + b" " + status + b"\r\n" + b"".join(text + b"\r\n" for text in lines) + b"\r\n" + body


FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
R = Response
RESPONSES = [
    # two ways to find the end
    R("Content-Length and chunked", response(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=END),
      BAD_GATEWAY),
    R("chunked and Content-Length", response(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=END),
      BAD_GATEWAY),
    R("Content-Length twice, equal", response(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
      BAD_GATEWAY),
    R("Content-Length twice, different",
      response(b"Content-Length: 5", b"Content-Length: 0", body=b"hello" + FORGED), BAD_GATEWAY),
    R("Content-Length as a list", response(b"Content-Length: 5, 5", body=b"hello"), BAD_GATEWAY),
    R("Content-Length +5", response(b"Content-Length: +5", body=b"hello"), BAD_GATEWAY),
    R("Content-Length -1", response(b"Content-Length: -1"), BAD_GATEWAY),
    R("Content-Length in hex", response(b"Content-Length: 0x5", body=b"hello"), BAD_GATEWAY),
    R("Content-Length empty", response(b"Content-Length:", body=b"hello"), BAD_GATEWAY),
    R("Content-Length with a space", response(b"Content-Length: 5 5", body=b"hello"), BAD_GATEWAY),
    R("Content-Length 2^64", response(b"Content-Length: 18446744073709551616"), BAD_GATEWAY),
    R("unknown coding", response(b"Transfer-Encoding: xchunked", body=END), BAD_GATEWAY),
    R("gzip, chunked", response(b"Transfer-Encoding: gzip, chunked", body=END), BAD_GATEWAY),
    R("chunked, chunked", response(b"Transfer-Encoding: chunked, chunked", body=END), BAD_GATEWAY),
    R("identity", response(b"Transfer-Encoding: identity", body=b"hello"), BAD_GATEWAY),
    R("empty coding", response(b"Transfer-Encoding:", body=b"hello"), BAD_GATEWAY),
    R("coding with a parameter", response(b"Transfer-Encoding: chunked;q=1", body=END), BAD_GATEWAY),
    R("coding twice", response(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=END),
      BAD_GATEWAY),
    R("coding in HTTP/1.0", response(b"Transfer-Encoding: chunked", version=b"HTTP/1.0", body=END), BAD_GATEWAY),
    R("space before the colon of a coding", response(b"Transfer-Encoding : chunked", body=END), BAD_GATEWAY),
    # heads that break the grammar
    R("LF in a value", response(b"X: a\nContent-Length: 0", body=FORGED), BAD_GATEWAY),
    R("CR in a value", response(b"X: a\rContent-Length: 0", body=FORGED), BAD_GATEWAY),
    R("NUL in a value", response(b"X: a\0b", b"Content-Length: 0"), BAD_GATEWAY),
    R("folded line", response(b"X: a\r\n b", b"Content-Length: 0"), BAD_GATEWAY),
    R("space in a name", response(b"X Y: z", b"Content-Length: 0"), BAD_GATEWAY),
    R("no colon", response(b"nonsense", b"Content-Length: 0"), BAD_GATEWAY),
    R("empty name", response(b": z", b"Content-Length: 0"), BAD_GATEWAY),
    R("LF LF ends the head", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", BAD_GATEWAY),
    R("version 2.0", response(b"Content-Length: 0", version=b"HTTP/2.0"), BAD_GATEWAY),
    R("version in lower case", response(b"Content-Length: 0", version=b"http/1.1"), BAD_GATEWAY),
    R("another protocol", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", BAD_GATEWAY),
    R("no head at all", b"hello\r\n\r\n", BAD_GATEWAY, closes=True),
    R("status of two digits", response(b"Content-Length: 0", status=b"20 OK"), BAD_GATEWAY),
    R("status 099", response(b"Content-Length: 0", status=b"099 OK"), BAD_GATEWAY),
    R("CRLF before the status line", b"\r\n" + response(b"Content-Length: 0"), BAD_GATEWAY),
    R("head of 256 KiB", response(b"X: " + b"a" * 262144, b"Content-Length: 0"), BAD_GATEWAY),
    R("1,000 fields", response(*[b"X-%d: y" % i for i in range(1000)]), BAD_GATEWAY),
    R("closed inside the head", b"HTTP/1.1 200 OK\r\nContent-", BAD_GATEWAY, closes=True),
    # interim responses
    R("100 with content", response(b"Content-Length: 5", status=b"100 Continue", body=b"hello" + FORGED),
      BAD_GATEWAY),
    R("103 chunked", response(b"Transfer-Encoding: chunked", status=b"103 Early Hints", body=END + FORGED),
      BAD_GATEWAY),
    R("101 that nobody asked for", response(b"Connection: upgrade", b"Upgrade: websocket",
                                            status=b"101 Switching Protocols", body=b"frames"), BAD_GATEWAY),
    R("100 that nobody asked for", response(status=b"100 Continue") + response(b"Content-Length: 2", body=b"ok"),
      PASS, reuse=True, body=b"ok"),
    R("10,000 interim responses", response(status=b"102 Processing") * 10000, BAD_GATEWAY),
    # content where there is none, or more than was said
    R("204 with content", response(b"Content-Length: 6", status=b"204 No Content", body=b"forged"), PASS, status=204),
    R("204 chunked", response(b"Transfer-Encoding: chunked", status=b"204 No Content", body=END), PASS, status=204),
    R("304 with content", response(b"Content-Length: 6", status=b"304 Not Modified", body=b"forged"), PASS,
      status=304),
    R("HEAD with content", response(b"Content-Length: 6", body=b"forged"), PASS, method=b"HEAD"),
    R("HEAD with another response behind", response(b"Content-Length: 6", body=FORGED), PASS, method=b"HEAD"),
    R("bytes behind the content", response(b"Content-Length: 2", body=b"okX"), PASS, body=b"ok"),
    R("a response behind the content", response(b"Content-Length: 2", body=b"ok" + FORGED), PASS, body=b"ok"),
    R("a response behind the last chunk",
      response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n" + END + FORGED), PASS, body=b"ok"),
    R("CRLF behind the content", response(b"Content-Length: 2", body=b"ok\r\n"), PASS, body=b"ok"),
    R("keep-alive without a length", response(b"Connection: keep-alive", body=b"ok"), PASS, closes=True, body=b"ok"),
    R("HTTP/1.0 without a length", response(version=b"HTTP/1.0", body=b"ok"), PASS, closes=True, body=b"ok"),
    # content that ends too early or breaks the chunks: the head is out already
    R("closed inside the content", response(b"Content-Length: 5", body=b"hel"), ABORT, closes=True),
    R("closed inside a chunk", response(b"Transfer-Encoding: chunked", body=b"5\r\nhel"), ABORT, closes=True),
    R("closed before the last chunk", response(b"Transfer-Encoding: chunked", body=b"3\r\nhel\r\n"), ABORT,
      closes=True),
    R("chunk size is not hex", response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\nx\r\n"), ABORT),
    R("LF behind a chunk size", response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n2\nok\r\n" + END), ABORT),
    R("no CRLF behind a chunk", response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n2\r\nokok" + END), ABORT),
    # made clean
    R("aliases with underscores", response(b"Content_Length: 50", b"Transfer_Encoding: chunked",
                                           b"Content-Length: 2", body=b"ok"), PASS, reuse=True, body=b"ok"),
    R("Connection names Content-Length", response(b"Connection: Content-Length", b"Content-Length: 2", body=b"ok"),
      PASS, reuse=True, body=b"ok"),
    R("trailer Content-Length", response(b"Transfer-Encoding: chunked",
                                         body=b"2\r\nok\r\n0\r\nContent-Length: 50\r\n\r\n"), PASS, reuse=True,
      body=b"ok"),
    R("chunk extensions", response(b"Transfer-Encoding: chunked", body=b"2;a=b\r\nok\r\n" + END), PASS, reuse=True,
      body=b"ok"),
    R("204 with Content-Length: 0", response(b"Content-Length: 0", status=b"204 No Content"), PASS, reuse=True,
      status=204),
    R("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", PASS, reuse=True, body=b"ok"),
]


# ---- I: pipelining and early answers ----
@dataclasses.dataclass(frozen=True)
class Scenario:
    """client: steps of one connection: bytes to send; ("status", n) waits for the head of a final response
    with that status; ("interim", n) for one of those; "half-close"; "close".

    upstream: what it does with its requests, in order, then with the last rule again:
      "ok"          reads the whole request, answers 200 with its target as content
      "early N"     answers N as soon as the head is there, reads no content, keeps the connection
      "early N close"   the same, then closes
      "continue"    answers 100 once the head is there, reads the content, answers 200
      "drop"        reads the head and closes without an answer
      "ok, drop"    as "ok", then closes when the next request comes on the same connection
    """
    name: str
    client: tuple
    statuses: tuple            # all final responses that the client gets, in order
    targets: tuple             # all targets that upstreams see, in order; never /smuggled
    upstream: tuple = ("ok",)
    closed: bool = False       # the gateway closes the client's connection at the end
    bodies: tuple = ()         # contents the upstream got, where they matter
    cut: bool = False          # the last request is broken off: it may be dropped before anything of it was sent

    def __str__(self):
        return f"I: {self.name}"


def get(target=b"/", *lines):
    return request(*lines, method=b"GET", target=target)


def post(target, body, *lines):
    return request(b"Content-Length: %d" % len(body), *lines, target=target, body=body)


def post_head(target, length, *lines):
    return request(b"Content-Length: %d" % length, *lines, target=target)


BAD = b"GET /bad HTTP/1.1\r\nHost: " + HOST + b"\r\nX : y\r\n\r\n"
S = Scenario
SCENARIOS = [
    S("three requests at once are answered in order", (get(b"/1") + get(b"/2") + get(b"/3"),), (200, 200, 200),
      (b"/1", b"/2", b"/3")),
    S("a hundred requests at once are answered in order", (b"".join(get(b"/%d" % i) for i in range(100)),),
      (200,) * 100, tuple(b"/%d" % i for i in range(100))),
    S("nothing behind a bad request is read", (BAD + SMUGGLED,), (400,), (), closed=True),
    S("a bad request behind a good one", (get(b"/1") + BAD + SMUGGLED,), (200, 400), (b"/1",), closed=True),
    S("content is not read as a request", (post(b"/1", SMUGGLED) + get(b"/2"),), (200, 200), (b"/1", b"/2"),
      bodies=(SMUGGLED, b"")),
    S("content of GET is not read as a request (0.CL)",
      (request(b"Content-Length: %d" % len(SMUGGLED), method=b"GET", target=b"/1", body=SMUGGLED) + get(b"/2"),),
      (200, 200), (b"/1", b"/2"), bodies=(SMUGGLED, b"")),
    S("chunks are not read as requests",
      (request(b"Transfer-Encoding: chunked", target=b"/1",
               body=b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n" + END) + get(b"/2"),), (200, 200), (b"/1", b"/2"),
      bodies=(SMUGGLED, b"")),
    S("an early answer does not turn the rest of the content into a request (CL.0)",
      (post(b"/1", SMUGGLED * 3),), (200,), (b"/1",), upstream=("early 200",)),
    S("an early answer, then the rest of the content", (post_head(b"/1", len(SMUGGLED)), ("status", 413), SMUGGLED),
      (413,), (b"/1",), upstream=("early 413 close",)),
    S("an upstream that read no content is not used again",
      (post(b"/1", SMUGGLED), ("status", 200), "close"), (200,), (b"/1",), upstream=("early 200", "ok")),
    S("no route: content is not read as a request",
      (b"POST /1 HTTP/1.1\r\nHost: nowhere.test\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,), (404,), ()),
    S("expectation met by the upstream", (post_head(b"/1", 5, b"Expect: 100-continue"), ("interim", 100), b"hello"),
      (200,), (b"/1",), upstream=("continue",), bodies=(b"hello",)),
    S("expectation, but the content comes at once", (post(b"/1", b"hello", b"Expect: 100-continue"),), (200,),
      (b"/1",), upstream=("continue",), bodies=(b"hello",)),
    S("expectation answered with a refusal: what follows is not a request",
      (post_head(b"/1", len(SMUGGLED), b"Expect: 100-continue"), ("status", 403), SMUGGLED), (403,), (b"/1",),
      upstream=("early 403",)),
    S("expectation without content", (get(b"/1", b"Expect: 100-continue") + get(b"/2"),), (200, 200),
      (b"/1", b"/2")),
    S("expectation of HTTP/1.0 is ignored",
      (request(b"Expect: 100-continue", b"Content-Length: 5", version=b"HTTP/1.0", target=b"/1", body=b"hello"),),
      (200,), (b"/1",), closed=True, bodies=(b"hello",)),
    S("unknown expectation", (post(b"/1", b"hello", b"Expect: 100-continue-or-so") + SMUGGLED,), (417,), (),
      closed=True),
    S("HEAD, then GET", (request(method=b"HEAD", target=b"/1") + get(b"/2"),), (200, 200), (b"/1", b"/2")),
    S("nothing behind Connection: close is read", (get(b"/1", b"Connection: close") + SMUGGLED,), (200,), (b"/1",),
      closed=True),
    S("nothing behind HTTP/1.0 is read", (b"GET /1 HTTP/1.0\r\nHost: " + HOST + b"\r\n\r\n" + SMUGGLED,), (200,),
      (b"/1",), closed=True),
    S("HTTP/1.0 with keep-alive",
      (b"GET /1 HTTP/1.0\r\nHost: " + HOST + b"\r\nConnection: keep-alive\r\n\r\n" + get(b"/2"),), (200, 200),
      (b"/1", b"/2")),
    S("one CRLF between requests", (get(b"/1") + b"\r\n" + get(b"/2"),), (200, 200), (b"/1", b"/2")),
    S("two CRLF between requests", (get(b"/1") + b"\r\n\r\n" + get(b"/2"),), (200, 400), (b"/1",), closed=True),
    S("an upgrade that the upstream does not grant",
      (get(b"/1", b"Connection: upgrade", b"Upgrade: websocket"), ("status", 200), get(b"/2")), (200, 200),
      (b"/1", b"/2")),
    S("bad chunks in the middle of an upload",
      (request(b"Transfer-Encoding: chunked", target=b"/1", body=b"5\r\nhello\r\n5 \r\n" + SMUGGLED),), (400,),
      (b"/1",), closed=True, cut=True),
    S("half-close behind the request", (get(b"/1"), "half-close"), (200,), (b"/1",), closed=True),
    S("an aborted upload is aborted upstream", (post_head(b"/1", 100) + b"hello", "close"), (), (b"/1",), cut=True),
    S("a stale upstream connection: GET is sent again", (get(b"/1"), ("status", 200), get(b"/2")), (200, 200),
      (b"/1", b"/2", b"/2"), upstream=("ok, drop", "ok")),
    S("an upstream that closes without an answer", (post(b"/1", b"hello"),), (502,), (b"/1",), upstream=("drop",)),
]

# ---- J: paths ----
PATHS = [
    (b"/", b"/"), (b"/a/b", b"/a/b"), (b"/a/b/", b"/a/b/"), (b"/.well-known/x", b"/.well-known/x"),
    (b"/...", b"/..."), (b"/..a", b"/..a"), (b"/a..", b"/a.."), (b"/~user/(x)!$&'*+,=:@", b"/~user/(x)!$&'*+,=:@"),
    # dot segments
    (b"/a/./b", b"/a/b"), (b"/a/../b", b"/b"), (b"/a/b/..", b"/a/"), (b"/a/b/.", b"/a/b/"), (b"/.", b"/"),
    (b"/a/b/../../c", b"/c"), (b"/./././a", b"/a"), (b"/..", None), (b"/../a", None), (b"/a/../../b", None),
    (b"/a/b/../../../c", None),
    # the same with escapes
    (b"/%2e/a", b"/a"), (b"/a/%2e%2e/b", b"/b"), (b"/a/%2E%2E/b", b"/b"), (b"/a/.%2e/b", b"/b"),
    (b"/a/%2e./b", b"/b"), (b"/%2e%2e/a", None), (b"/a/%2e%2e%2fb", None), (b"/a%2f..%2fb", None),
    # decoded once
    (b"/%252e%252e/a", b"/%252e%252e/a"), (b"/%25252e", b"/%25252e"), (b"/a%252fb", b"/a%252fb"),
    (b"/%61dmin", b"/admin"), (b"/%41%5a%7a%30%2d%5f%7E", b"/AZz0-_~"), (b"/a%c3%a4", b"/a%C3%A4"),
    (b"/a%20b", b"/a%20b"), (b"/a%3f", b"/a%3F"), (b"/a%23b", b"/a%23b"), (b"/a%3ab%40", b"/a%3Ab%40"),
    # empty segments
    (b"//a", b"/a"), (b"/a//b", b"/a/b"), (b"/a///", b"/a/"), (b"//", b"/"), (b"/a//../b", b"/b"),
    (b"//../a", None), (b"/a/.//b", b"/a/b"),
    # separators in disguise
    (b"/a%2fb", None), (b"/a%2Fb", None), (b"/a%5cb", None), (b"/a%5Cb", None), (b"/a\\b", None),
    (b"/..\\a", None), (b"/a/..%5cb", None), (b"/a/..%5c..%5cb", None),
    # parameters
    (b"/a;b", None), (b"/a;b=c/d", None), (b"/..;/a", None), (b"/a/..;x=y/b", None), (b"/;/a", None),
    (b"/a%3bb", b"/a%3Bb"), (b"/..%3b/a", None), (b"/a/.%3Bx/b", None),
    # bytes that end strings, lines, or nothing
    (b"/a%00", None), (b"/a%00.html", None), (b"/a%0d%0aX:y", None), (b"/a%0a", None), (b"/a%09", None),
    (b"/a%7f", None), (b"/a%1b", None),
    # broken escapes
    (b"/a%", None), (b"/a%2", None), (b"/a%zz", None), (b"/a%2g", None), (b"/%u002e%u002e/a", None), (b"/a%%32e", None),
    # over-long UTF-8
    (b"/%c0%ae%c0%ae/a", None), (b"/%c0%af", None), (b"/%c1%9c", None), (b"/%e0%80%ae", None), (b"/%e0%80%af", None),
    (b"/%f0%80%80%ae", None), (b"/%f8%80%80%80%ae", None),
    (b"/%e2%82%ac", b"/%E2%82%AC"), (b"/caf%e9", b"/caf%E9"),
    # one spelling of bytes that are no path characters
    (b"/{a}", b"/%7Ba%7D"), (b"/%7ba%7d", b"/%7Ba%7D"), (b"/a|b", b"/a%7Cb"), (b"/[a]", b"/%5Ba%5D"),
    (b'/"a"', b"/%22a%22"), (b"/<a>", b"/%3Ca%3E"), (b"/a^`", b"/a%5E%60"),
    # case is kept
    (b"/ADMIN", b"/ADMIN"), (b"/Admin/../ADMIN", b"/ADMIN"),
]
