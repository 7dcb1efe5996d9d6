"""peer_envoy.py - Envoy, where its Python-packaged server is installed: in build-deps/envoy, by ./bootstrap bench."""
import json
import os
import shutil

from lab import TOP

TYPE = "type.googleapis.com/envoy.extensions."


def program(lab):
    local = TOP / "build-deps/envoy/envoy/_bin/envoy"
    return str(local) if os.access(local, os.X_OK) else shutil.which("envoy")


def _cluster(name, port, h2):
    options = {"@type": TYPE + "upstreams.http.v3.HttpProtocolOptions",
               "explicit_http_config": {"http2_protocol_options" if h2 else "http_protocol_options": {}}}
    return {"name": name, "type": "STATIC", "connect_timeout": "5s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
            "circuit_breakers": {"thresholds": [{k: 100000 for k in ("max_connections", "max_pending_requests", "max_requests")}]},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": _address(port)}}]}]}}


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _http(cluster, upgrade):
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "h",
        "codec_type": "AUTO", "use_remote_address": True, "generate_request_id": False,
        "http2_protocol_options": {"max_concurrent_streams": 256},
        **({"upgrade_configs": [{"upgrade_type": "websocket"}]} if upgrade else {}),
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]}]},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}]}}


def _tcp(cluster):
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
        "@type": TYPE + "filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "t", "cluster": cluster}}


def _listener(name, port, network, match=None, tls=None, inspect=False):
    chain = {"filters": [network]}
    if match:
        chain["filter_chain_match"] = match
    if tls:
        cert, key = tls
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": {"filename": str(cert)}, "private_key": {"filename": str(key)}}]}}}
    inspector = [{"name": "tls_inspector", "typed_config": {
        "@type": TYPE + "filters.listener.tls_inspector.v3.TlsInspector"}}] if inspect else []
    return {"name": name, "address": _address(port), "filter_chains": [chain], "listener_filters": inspector,
            "tcp_backlog_size": 4096}


def config(lab, port, up):
    listeners = [_listener("http", port["http"], _http("up", False)), _listener("h2c", port["h2c"], _http("up", False)),
                 _listener("https", port["https"], _http("up", False), tls=lab.certificate()),
                 _listener("grpc", port["grpc"], _http("up2", False)), _listener("ws", port["ws"], _http("ws", True)),
                 _listener("big", port["big"], _http("big", False)),
                 _listener("tcp", port["tcp"], _tcp("up")),
                 _listener("sni", port["sni"], _tcp("tls"), match={"server_names": ["localhost"]}, inspect=True)]
    clusters = [_cluster("big", up["big"], False), _cluster("up", up["http"], False), _cluster("up2", up["h2"], True), _cluster("ws", up["ws"], False),
                _cluster("tls", up["tls"], False)]
    return {"static_resources": {"listeners": listeners, "clusters": clusters},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": {
                "envoy.resource_limits.listener.all": 100000, "overload.global_downstream_max_connections": 100000}}]}}


def start(lab, port, up):
    conf = lab.dir / "envoy.json"
    conf.write_text(json.dumps(config(lab, port, up)))
    return [lab.proxy(program(lab), "-c", conf, "--concurrency", "1", "--disable-hot-restart", "-l", "error")]
