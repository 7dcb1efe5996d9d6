"""The hostile messages of desync_payloads.py against the running gateway.

Judged from outside by strict_parser: whatever an upstream gets must parse strictly as exactly the requests that were
meant, and nothing smuggled ever arrives.
"""
import contextlib
import threading
import time

import pytest

import desync_payloads as data
import gh
import strict_parser


class Capture(gh.RawServer):
    """A backend that keeps every byte, answers each complete strict request by a rule, and says when it is idle."""

    def __init__(self):
        self.rules, self.turn = ("ok",), 0
        self.busy, self.idle = 0, threading.Condition()
        self.bytes, self.before = [], []
        super().__init__(self._run)

    def begin(self, rules=("ok",)):
        """From here on; connections of before may go on."""
        with self.idle:
            self.rules, self.turn = rules, 0
            self.before = [len(b) for b in self.bytes]

    def _rule(self):
        with self.idle:
            rule = self.rules[min(self.turn, len(self.rules) - 1)]
            self.turn += 1
            return rule

    def _run(self, c, number):
        with self.idle:
            self.busy += 1
            mine = bytearray()
            self.bytes.append(mine)
        try:
            self._serve(c, mine)
        except TimeoutError:
            pass  # idle for long: closed, as servers do
        except (OSError, EOFError, strict_parser.Hostile):
            with contextlib.suppress(OSError):
                while chunk := c.sock.recv(65536):
                    mine += chunk
        finally:
            with contextlib.suppress(OSError):
                c.sock.close()
            with self.idle:
                self.busy -= 1
                self.idle.notify_all()

    def _more(self, c, mine):
        chunk = c.sock.recv(65536)
        if not chunk:
            raise EOFError
        mine += chunk

    def _serve(self, c, mine):
        at, last = 0, None
        while True:
            while b"\r\n\r\n" not in mine[at:]:
                self._more(c, mine)
            if last == "ok, drop":
                self._rule()
                return
            rule = last = self._rule()
            head = bytes(mine[at:mine.index(b"\r\n\r\n", at) + 4])
            if rule == "drop":
                return
            if rule.startswith("early"):
                status = rule.split()[1]
                close = rule.endswith("close")
                c.sock.sendall(f"HTTP/1.1 {status} Early\r\nContent-Length: 5\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\nearly".encode())
                if close:
                    while True:
                        self._more(c, mine)
                at = len(mine)
                continue
            if rule == "continue":
                c.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while True:
                try:
                    messages = strict_parser.parse_requests(bytes(mine[at:]))
                    break
                except strict_parser.Cut:
                    self._more(c, mine)
            for m in messages:
                body = b"" if m.start[0] == b"HEAD" else b"target " + m.start[1]
                length = len(b"target " + m.start[1])
                c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body)
            at = len(mine)
            del head

    def quiet(self):
        """Waits until no request is under way and returns what came, one bytes for each connection."""
        with self.idle:
            starts = self.before + [0] * (len(self.bytes) - len(self.before))
            return [bytes(b[start:]) for b, start in zip(self.bytes, starts)]


def judge(streams):
    """Targets that arrived complete; raises Hostile for anything odd. A cut message is fine: it was aborted."""
    targets, bodies = [], []
    for stream in streams:
        try:
            messages = strict_parser.judge_forwarded(stream)
        except strict_parser.Cut:
            messages = complete_prefix(stream)
        for m in messages:
            targets.append(m.start[1])
            bodies.append(m.body)
    assert b"/smuggled" not in targets, streams
    return targets, bodies


def complete_prefix(stream):
    """The complete messages before a cut one, each judged."""
    found, at = [], 0
    while at < len(stream):
        try:
            m, at = strict_parser.take_request(stream, at)
        except strict_parser.Cut:
            break
        assert not m.odd & strict_parser.ODD_UPSTREAM, m.odd
        found.append(m)
    return found


@pytest.fixture(scope="module")
def world():
    with Capture() as capture:
        files = gh.simple_files(capture, hostnames=["desync.test"])
        with gh.Gateway(files, workers=1, settings="timeouts:\n  header: 2s\n  bodyGrace: 2s\n") as g:
            g.capture = capture
            yield g


def statuses(raw, methods=()):
    """The final responses in `raw`, in order."""
    found, at, i = [], 0, 0
    while at < len(raw):
        method = methods[i] if i < len(methods) else b"GET"
        try:
            messages, rest = strict_parser.parse_response(raw[at:], method)
        except strict_parser.Cut:
            break
        found += [m for m in messages if int(m.start[1]) >= 200 or int(m.start[1]) == 101]
        at = len(raw) - len(rest)
        i += 1
        if not rest:
            break
    return found


@pytest.mark.parametrize("payload", data.PAYLOADS, ids=str)
def test_a_hostile_request_is_refused_or_made_clean(world, payload):
    world.capture.begin()
    with world.connect() as c:
        c.send(payload.data)
        first = b""
        with contextlib.suppress(EOFError, ConnectionResetError, TimeoutError):
            while b"\r\n\r\n" not in first:
                chunk = c.sock.recv(65536)
                if not chunk:
                    break
                first += chunk
        status = int(first[9:12]) if first[:5] == b"HTTP/" else 0
        if payload.verdict == data.REFUSED:
            assert status == 0 or 400 <= status < 600, first[:200]
            c.buffer = b""
            assert c.closed() or c.rest() is not None, "a refused connection must end"
    targets, _ = judge(world.capture.quiet())
    if payload.verdict == data.REFUSED:
        assert targets == [] or status >= 400, targets
    if payload.verdict == data.CLEAN:
        assert status and (status < 400 or targets), (status, targets)
    assert world.get("/alive", host="desync.test")[0] == 200


@pytest.mark.parametrize("response", data.RESPONSES, ids=str)
def test_a_hostile_response_becomes_502_or_is_made_clean(response):
    order = []

    def serve(c, number):
        while True:
            method, target, *_ = gh.read_request(c)
            order.append((number, target))
            if target == "/next":
                c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
                continue
            c.send(response.data)
            if response.closes:
                c.close()
                return
    with gh.RawServer(serve) as backend, gh.Gateway(
            gh.simple_files(backend), workers=1, settings="timeouts:\n  backend: 1s\n  streamIdle: 2s\n") as g:
        with g.connect() as c:
            c.send(response.method + b" /first HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                status, _, body = c.response(response.method.decode())
                ended = False
            except (EOFError, ConnectionResetError):
                status, body, ended = 0, b"", True
        if response.verdict == data.BAD_GATEWAY:
            assert status in (502, 504), status
        elif response.verdict == data.PASS:
            assert (status, body) == (response.status, response.body)
        else:
            assert ended, (status, body)
        assert g.get("/next")[2] == b"next"
        if not response.reuse:
            assert order[-1][0] != order[0][0], "the connection must not carry another request"


def play(c, step, capture):
    if isinstance(step, bytes):
        c.send(step)
    elif step == "half-close":
        c.sock.shutdown(1)
    elif step == "close":
        c.close()
    else:
        what, wanted = step
        while True:
            head = c.until(b"\r\n\r\n")
            c.seen += head
            status = int(head[9:12])
            if what == "interim" or status >= 200:
                assert status == wanted, head
                return


@pytest.mark.parametrize("scenario", data.SCENARIOS, ids=str)
def test_answers_belong_to_their_requests(scenario):
    with Capture() as capture:
        with gh.Gateway(gh.simple_files(capture, hostnames=["desync.test"]), workers=1, settings="timeouts:\n  idle: 1s\n  header: 1s\n  bodyGrace: 1s\n") as g:
            capture.begin(scenario.upstream)
            c = g.connect()
            c.seen = b""
            gone = False
            for step in scenario.client:
                try:
                    play(c, step, capture)
                except (BrokenPipeError, ConnectionResetError):
                    break
                gone |= step == "close"
            if not gone:
                c.seen += c.rest()
                c.close()
                methods = [m.split(b" ")[0] for m in b"".join(s for s in scenario.client if isinstance(s, bytes)).split(b"\r\n") if b" HTTP/1." in m]
                assert tuple(int(m.start[1]) for m in statuses(c.seen, methods)) == scenario.statuses, c.seen[:600]
            want = len(scenario.targets) - scenario.cut
            end = time.monotonic() + gh.DEADLINE
            while True:
                targets, bodies = seen(capture)
                if len(targets) >= want or time.monotonic() > end:
                    break
                with capture.idle:
                    capture.idle.wait(0.05)
            assert tuple(targets) in (scenario.targets, scenario.targets[:-1] if scenario.cut else None)
            if scenario.bodies:
                assert tuple(bodies) == scenario.bodies
            assert g.get("/alive", host="desync.test")[0] in (200, 413, 403, 502)


def seen(capture):
    """Targets of all heads that arrived, complete or not, in order of the connections."""
    targets, bodies = [], []
    for stream in capture.quiet():
        at = 0
        while at < len(stream):
            try:
                m, at = strict_parser.take_request(stream, at)
                assert not m.odd & strict_parser.ODD_UPSTREAM, m.odd
                targets.append(m.start[1])
                bodies.append(m.body)
            except strict_parser.Cut:
                head = stream[at:]
                if b"\r\n\r\n" in head:
                    targets.append(head.split(b" ")[1])
                break
    assert b"/smuggled" not in targets
    return targets, bodies


def test_the_upstream_sees_the_one_form_of_a_path_that_was_matched(world):
    wrong = []
    for raw, want in data.PATHS:
        world.capture.begin()
        with world.connect() as c:
            c.send(b"GET " + raw + b"?q HTTP/1.1\r\nHost: desync.test\r\nConnection: close\r\n\r\n")
            answer = c.rest()
        targets, _ = judge(world.capture.quiet())
        status = int(answer[9:12]) if answer[:5] == b"HTTP/" else 0
        if want is None:
            if targets or status != 400:
                wrong.append((raw, status, targets))
        elif targets != [want + b"?q"]:
            wrong.append((raw, status, targets, want))
    assert not wrong
