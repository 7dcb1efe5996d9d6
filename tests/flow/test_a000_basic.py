"""Does anything get through at all?"""
import json

import gh


def test_a_request_reaches_the_upstream_and_its_answer_comes_back(served):
    status, headers, body = served.get("/hello?x=1")
    assert status == 200
    seen = json.loads(body)
    assert seen["target"] == "/hello?x=1"
    assert dict((k.lower(), v) for k, v in seen["headers"])["host"] == "a.example.com"
    assert headers["x-backend"] == "up"


def test_the_admin_endpoints_answer(served):
    assert served.admin("/healthz")[0] == 200
    assert served.admin("/readyz")[0] == 200
    status = served.status()
    assert status["generation"] >= 1
    assert {w["role"] for w in status["workers"]} >= {"worker", "scout", "admin"}
    assert [o["kind"] for o in status["objects"]].count("HTTPRoute") == 1


def test_an_empty_configuration_directory_is_ready(tmp_path):
    with gh.Gateway() as g:
        assert g.admin("/readyz")[0] == 200


def test_a_stopped_gateway_exits_with_zero(upstream):
    with gh.Gateway(gh.simple_files(upstream)) as g:
        assert g.get("/")[0] == 200
        assert g.stop() == 0


def test_the_built_in_echo_backend_answers(tmp_path):
    import subprocess
    p = subprocess.Popen([str(gh.BUILD / "gatehouse"), "echo", "--name", "e1"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(p.stdout.readline().rsplit(":", 1)[1])
        with gh.Client(port) as c:
            c.send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            status, _, body = c.response()
            assert status == 200 and json.loads(body)["body_bytes"] == 3
            c.send("GET /bytes/70000 HTTP/1.1\r\nHost: h\r\n\r\n")
            assert len(c.response()[2]) == 70000
    finally:
        p.terminate()
        assert p.wait(gh.DEADLINE) == 0
