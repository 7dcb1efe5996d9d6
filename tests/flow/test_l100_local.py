"""Where a client connected to, on sockets that listen on all addresses: told wherever somebody wants to know."""
import re
import socket

import gh

# All of 127.0.0.0/8 is this machine.
AT = "127.0.0.7"

ISTIO = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: {port}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: {port2}, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - headers: {request: {set: {x-at: "%DOWNSTREAM_LOCAL_ADDRESS%", x-ip: "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"}}}
    route: [{destination: {host: up}}]
  tcp:
  - match: [{port: {port2}}]
    route: [{destination: {host: up}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: up}
spec:
  host: up
  trafficPolicy: {proxyProtocol: {version: V1}}
"""


def dial(port):
    s = socket.create_connection((AT, port), gh.DEADLINE)
    s.settimeout(gh.DEADLINE)
    return s


def until(sock, mark, times=1):
    data = b""
    while data.count(mark) < times:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def proxy_line(s):
    (ip, port), (_, to) = s.getsockname(), s.getpeername()
    return f"PROXY TCP4 {ip} {AT} {port} {to}\r\n".encode()


def heard(c, _):
    """Answers with what came, a PROXY header and perhaps the head of a request."""
    data = until(c.sock, b"\r\n\r\n")
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))


def gateway(up, form=None):
    service = gh.service_yaml("up", up.port)
    g = gh.Gateway({"all.yaml": ISTIO, "service.yaml": service}, start=False)
    if form:
        text = g.config.read_text()
        g.config.write_text(re.sub(r"(  accessLog:\n)", rf"\1    format: '{form}'\n", text))
    g.start()
    return g


def test_header_values_and_proxy_headers_name_it():
    with gh.RawServer(heard) as up, gateway(up) as g:
        for _ in range(2):
            with dial(g.port) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                said = until(s, b"\r\n\r\n", 2)
                assert proxy_line(s) in said
                assert re.search(rb"(?i)\r\nx-at: %s:%d\r\n" % (AT.replace(".", r"\.").encode(), g.port), said)
                assert re.search(rb"(?i)\r\nx-ip: %s\r\n" % AT.replace(".", r"\.").encode(), said)
        with dial(g.ports[1]) as s:
            s.sendall(b"\r\n\r\n")
            said = until(s, b"\r\n\r\n", 2)
            assert proxy_line(s) in said


def test_a_log_whose_format_asks_names_it_for_requests_and_for_bytes():
    with gh.RawServer(heard) as up, gateway(up, "%PROTOCOL% %DOWNSTREAM_LOCAL_ADDRESS%") as g:
        with dial(g.port) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(s, b"\r\n\r\n", 2)
        with dial(g.ports[1]) as s:
            s.sendall(b"\r\n\r\n")
            until(s, b"\r\n\r\n", 2)
        g.stop()
        lines = g.access_log.read_text().splitlines()
        assert sorted(lines) == [f"HTTP/1.1 {AT}:{g.port}", f"TCP {AT}:{g.ports[1]}"]
