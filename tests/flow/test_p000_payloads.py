"""The payloads are data; this checks them: against the strict parser, and against the gateway's parser.

No gateway runs here.
"""
import collections
import subprocess

import pytest

import desync_payloads as d
import gh
import strict_parser as strict


def names(cases):
    return [str(c) for c in cases]


@pytest.fixture(scope="module")
def verdict():
    """Asks the gateway's own parser: verdict([(kind, bytes), ...]) -> [line, ...]."""
    tool = gh.BUILD / "tests/flow/h1_verdict"
    if not tool.exists():
        pytest.skip("h1_verdict is not built")

    def ask(records):
        given = b"".join(b"%s %d\n" % (kind.encode(), len(data)) + data for kind, data in records)
        out = subprocess.run([tool], input=given, capture_output=True, check=True, timeout=gh.DEADLINE).stdout
        lines = out.split(b"\n")[:-1]
        assert len(lines) == len(records)
        return lines
    return ask


def test_the_classes_are_complete():
    count = collections.Counter(p.cls for p in d.PAYLOADS)
    assert count == {"A": 22, "B": 45, "C": 28, "D": 13, "E": 22, "F": 7}
    assert len(d.PAYLOADS) == 137
    assert sum(p.verdict == d.REFUSED for p in d.PAYLOADS) >= 110
    assert len(d.RESPONSES) >= 40 and len(d.SCENARIOS) >= 20 and len(d.PATHS) >= 60
    for cases in d.PAYLOADS, d.RESPONSES, d.SCENARIOS:
        assert len(set(names(cases))) == len(cases)
    assert len({p for p, _ in d.PATHS}) == len(d.PATHS)


@pytest.mark.parametrize("p", d.PAYLOADS, ids=names(d.PAYLOADS))
def test_the_strict_parser_sees_what_is_wrong(p):
    try:
        messages = strict.parse_requests(p.data)
    except strict.Hostile:
        assert p.verdict in (d.REFUSED, d.EITHER)
        return
    odd = set().union(*(m.odd for m in messages))
    assert odd, "neither hostile nor odd"
    if p.verdict == d.REFUSED:
        assert odd & strict.ODD_UPSTREAM, f"only {odd}"


@pytest.mark.parametrize("bad", [b"\n", b"\r", b"\0", b"\x7f", b" \n"])
@pytest.mark.parametrize("at", range(0, 60, 3))
def test_the_strict_parser_passes_no_such_byte_in_a_head(bad, at):
    good = d.get(b"/", b"X-Some: value", b"Y: z")
    assert len(strict.parse_requests(good)) == 1
    with pytest.raises(strict.Hostile):
        strict.parse_requests(good[:at] + bad + good[at:])


def test_the_strict_parser_reads_good_messages_to_the_byte():
    stream = (d.get(b"/1") + d.post(b"/2", b"hello") +
              d.request(b"Transfer-Encoding: chunked", target=b"/3", body=b"5\r\nhello\r\n0\r\nX: y\r\n\r\n") + d.get(b"/4"))
    messages = strict.judge_forwarded(stream)
    assert [m.start[1] for m in messages] == [b"/1", b"/2", b"/3", b"/4"]
    assert [m.body for m in messages] == [b"", b"hello", b"hello", b""]
    assert messages[2].trailers == [(b"X", b"y")]
    for end in range(1, len(d.post(b"/2", b"hello"))):
        with pytest.raises(strict.Cut):
            strict.parse_requests(d.post(b"/2", b"hello")[:end])
    found, rest = strict.parse_response(d.response(status=b"103 Early Hints") + d.response(b"Content-Length: 2", body=b"okX"))
    assert [m.start[1] for m in found] == [b"103", b"200"] and found[1].body == b"ok" and rest == b"X"


def test_what_an_upstream_must_not_see_is_hostile():
    for p in d.PAYLOADS:
        if p.verdict == d.EITHER and "alias" in p.name:
            with pytest.raises(strict.Hostile):
                strict.judge_forwarded(p.data)


@pytest.mark.parametrize("r", d.RESPONSES, ids=names(d.RESPONSES))
def test_the_strict_parser_judges_responses(r):
    try:
        messages, rest = strict.parse_response(r.data, r.method)
    except strict.Hostile:
        assert r.verdict != d.PASS or r.status == 204, "hostile, yet to be passed on"
        return
    too_much = {"256 KiB", "1,000 fields", "nobody asked"}
    assert r.verdict == d.PASS or any(word in r.name for word in too_much), "good, yet not to be passed on"
    if r.verdict == d.PASS:
        assert int(messages[-1].start[1]) == r.status and messages[-1].body == r.body
        assert not r.reuse or (not rest and not messages[-1].until_close)


def test_the_parser_of_the_gateway_refuses_the_same(verdict):
    wrong = []
    for p, said in zip(d.PAYLOADS, verdict([("request", p.data) for p in d.PAYLOADS])):
        n, end, error, status = said.decode().split()
        fits = {d.REFUSED: end == "ERROR" and n == "0" and int(status) >= 400,
                d.CLEAN: end == "OK" and n == "1",
                d.EITHER: end == "ERROR" or (end == "OK" and n == "1")}
        if not fits[p.verdict]:
            wrong.append((str(p), said))
    assert not wrong


def test_the_parser_of_the_gateway_refuses_the_same_responses(verdict):
    wrong = []
    kinds = [("head" if r.method == b"HEAD" else "response", r.data) for r in d.RESPONSES]
    for r, said in zip(d.RESPONSES, verdict(kinds)):
        end = said.decode().split()[1]
        others_decide = "nobody asked" in r.name or "interim responses" in r.name
        if r.verdict != d.PASS and not others_decide and end == "OK":
            wrong.append((str(r), said))
        if r.reuse and end != "OK":
            wrong.append((str(r), said))
    assert not wrong


def test_the_gateway_gives_every_path_its_one_form(verdict):
    wrong = []
    for (raw, want), said in zip(d.PATHS, verdict([("path", raw) for raw, _ in d.PATHS])):
        if (said != want) if want else not said.startswith(b"- "):
            wrong.append((raw, want, said))
    assert not wrong
    forms = [want for _, want in d.PATHS if want]
    assert verdict([("path", f) for f in forms]) == forms


def test_scenarios_never_want_the_smuggled_request():
    for s in d.SCENARIOS:
        assert b"/smuggled" not in s.targets
        assert len(s.bodies) in (0, len(s.targets))
