"""A strict HTTP/1.1 parser (RFC 9110, 9112), independent of the gateway's, to judge bytes.

parse_requests(data) and parse_response(data) raise Hostile for what the grammar does not allow or what two
readers could read in two ways. What is allowed but remarkable is listed in Message.odd; ODD_UPSTREAM names
the oddities that a gateway must not send to its upstream. It knows only bytes that are all there: it is for
captures, not for servers.
"""
import dataclasses
import re

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
TARGET = re.compile(rb"(/[\x21\x22\x24-\x7e]*|https?://[\x21\x22\x24-\x7e]+|\*)")
HOST = re.compile(rb"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")
EXTENSION = re.compile(rb'(;[ \t]*[!#$%&\'*+.^_`|~0-9A-Za-z-]+([ \t]*=[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+'
                       rb'|"([\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?[ \t]*)*')
FRAMING = {b"content-length", b"transfer-encoding"}
NO_TRAILER = FRAMING | {b"host", b"trailer", b"te", b"connection", b"authorization", b"content-type",
                        b"content-encoding", b"content-range", b"cookie", b"set-cookie", b"expect"}
ODD_UPSTREAM = {"alias", "h2c", "framing named by Connection", "upgrade with content", "unknown expectation",
                "forbidden trailer", "CONNECT", "chunk extension", "leading CRLF", "leading zeros"}


class Hostile(Exception):
    """The bytes break a rule; the text says which."""


class Cut(Hostile):
    """The bytes end inside a message."""


@dataclasses.dataclass
class Message:
    start: tuple
    fields: list
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    odd: set = dataclasses.field(default_factory=set)
    until_close: bool = False

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name]

    def options(self, name):
        return [o.strip(b" \t").lower() for v in self.all(name) for o in v.split(b",") if o.strip(b" \t")]


def need(condition, why):
    if not condition:
        raise Hostile(why)


def take_line(data, at):
    lf = data.find(b"\n", at)
    if lf < 0:
        raise Cut("the data end inside a line")
    need(lf > at and data[lf - 1] == 0x0D, "bare LF")
    line = data[at:lf - 1]
    need(b"\r" not in line, "bare CR")
    return line, lf + 1


def take_fields(data, at, odd):
    fields = []
    while True:
        line, at = take_line(data, at)
        if not line:
            return fields, at
        need(line[:1] not in b" \t", "folded line or leading space")
        name, colon, value = line.partition(b":")
        need(colon, "no colon")
        need(TOKEN.fullmatch(name), "field name is not a token")
        need(VALUE.fullmatch(value), "control byte in a field value")
        if b"_" in name and name.lower().replace(b"_", b"-") in FRAMING | {b"host", b"connection"}:
            odd.add("alias")
        fields.append((name, value.strip(b" \t")))


def take_chunked(data, at, m):
    while True:
        line, at = take_line(data, at)
        size = re.match(rb"[0-9A-Fa-f]+", line)
        need(size, "chunk size is not hex")
        need(len(size[0]) <= 16, "chunk size is too long")
        extension = line[size.end():]
        need(EXTENSION.fullmatch(extension) and len(extension) <= 4096, "bad chunk extension")
        if extension:
            m.odd.add("chunk extension")
        n = int(size[0], 16)
        if n == 0:
            m.trailers, at = take_fields(data, at, m.odd)
            if any(name.lower() in NO_TRAILER for name, _ in m.trailers):
                m.odd.add("forbidden trailer")
            return at
        if len(data) < at + n + 2:
            raise Cut("the data end inside a chunk") if n < 1 << 63 else Hostile("chunk size is too large")
        need(data[at + n:at + n + 2] == b"\r\n", "chunk is not followed by CRLF")
        m.body += data[at:at + n]
        at += n + 2


def framing(m, version):
    """'chunked', a length, or None when there is neither."""
    lengths, codings = m.all(b"content-length"), m.all(b"transfer-encoding")
    need(not (lengths and codings), "Content-Length and Transfer-Encoding")
    need(len(lengths) < 2 and len(codings) < 2, "framing field twice")
    if codings:
        need(version == b"HTTP/1.1", "Transfer-Encoding in HTTP/1.0")
        need(codings[0].lower() == b"chunked", "a coding other than chunked")
        if codings[0] != b"chunked":
            m.odd.add("mixed case")
        return "chunked"
    if lengths:
        need(re.fullmatch(rb"[0-9]+", lengths[0]) and int(lengths[0]) < 1 << 63, "bad Content-Length")
        if re.match(rb"0[0-9]", lengths[0]):
            m.odd.add("leading zeros")
        return int(lengths[0])
    return None


def take_body(data, at, m, how):
    if how == "chunked":
        return take_chunked(data, at, m)
    if len(data) < at + (how or 0):
        raise Cut("the data end inside the content")
    m.body = data[at:at + (how or 0)]
    return at + (how or 0)


def take_request(data, at):
    odd = set()
    if data[at:at + 2] == b"\r\n":
        odd.add("leading CRLF")
        at += 2
    line, at = take_line(data, at)
    parts = line.split(b" ")
    need(len(parts) == 3 and TOKEN.fullmatch(parts[0]), "bad request line")
    method, target, version = parts
    need(version in (b"HTTP/1.0", b"HTTP/1.1"), "bad version")
    fields, at = take_fields(data, at, odd)
    m = Message((method, target, version), fields, odd=odd)
    if method == b"CONNECT":
        odd.add("CONNECT")
    else:
        need(TARGET.fullmatch(target) and (target != b"*" or method == b"OPTIONS"), "bad target")
    hosts = m.all(b"host")
    need(len(hosts) == 1 or (not hosts and version == b"HTTP/1.0"), "not one Host")
    need(all(HOST.fullmatch(h) for h in hosts), "bad Host")
    if target.startswith(b"http"):
        odd.add("absolute form")
    how = framing(m, version)
    judge_hop(m, how)
    return m, take_body(data, at, m, how)


def judge_hop(m, how):
    named = m.options(b"connection")
    if FRAMING & set(named) or b"host" in named:
        m.odd.add("framing named by Connection")
    if any(p.startswith(b"h2c") for p in m.options(b"upgrade")):
        m.odd.add("h2c")
    if m.all(b"upgrade") and how:
        m.odd.add("upgrade with content")
    if any(e != b"100-continue" for e in m.options(b"expect")):
        m.odd.add("unknown expectation")
    if how and m.start[0] in (b"GET", b"HEAD"):
        m.odd.add("content of GET")


def parse_requests(data):
    """All requests in `data`; raises Hostile (Cut when the last one is not all there)."""
    at, messages = 0, []
    while at < len(data):
        m, at = take_request(data, at)
        messages.append(m)
    return messages


def parse_response(data, method=b"GET"):
    """The interim responses and the final one at the front of `data`: (messages, rest)."""
    at, messages = 0, []
    while True:
        line, at = take_line(data, at)
        start = re.fullmatch(rb"(HTTP/1\.[01]) ([1-9][0-9]{2})(?: ([\t \x21-\x7e\x80-\xff]*))?", line)
        need(start, "bad status line")
        odd = set()
        fields, at = take_fields(data, at, odd)
        m = Message(start.groups(), fields, odd=odd)
        messages.append(m)
        status, how = int(start[2]), framing(m, start[1])
        if status < 200:
            need(not how, "an interim response with content")
            if status == 101:
                return messages, data[at:]
            continue
        if method == b"HEAD" or status in (204, 304):
            need(status != 204 or not how, "content in a 204")
            return messages, data[at:]
        if how is None:
            m.until_close, m.body = True, data[at:]
            return messages, b""
        at = take_body(data, at, m, how)
        return messages, data[at:]


def judge_forwarded(data):
    """What reached the upstream: the requests, all clean; raises Hostile otherwise."""
    messages = parse_requests(data)
    for m in messages:
        need(not m.odd & ODD_UPSTREAM, ", ".join(sorted(m.odd & ODD_UPSTREAM)))
    return messages
