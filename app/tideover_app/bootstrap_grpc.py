"""A bootstrap for proxyless gRPC clients (GRPC_XDS_BOOTSTRAP)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from .bootstrap import Bootstrap, Json, Server, Tls, node


def grpc(bootstrap: Bootstrap) -> Json:
    """The whole bootstrap. ValueError when these servers cannot stand in one URI."""
    credentials: Json = {"type": "insecure"} if bootstrap.tls is None else _credentials(bootstrap.tls)
    server: Json = {
        "server_uri": server_uri([one for group in bootstrap.servers for one in group]),
        "channel_creds": [credentials],
        "server_features": ["xds_v3"],
    }
    if bootstrap.token_file:
        # gRFC A97: read again when the token in it ends; gRPC sends no token without TLS
        config: Json = {"jwt_token_file": bootstrap.token_file}
        server["call_creds"] = [{"type": "jwt_token_file", "config": config}]
    return {"xds_servers": [server], "node": node(bootstrap)}


def server_uri(servers: list[Server]) -> str:
    """One URI with every server, nearest first: a running client moves only inside one URI."""
    families = {_family(server) for server in servers}
    if families == {"name"}:
        if len(servers) > 1:
            raise ValueError("gRPC takes one host name only; give the addresses of several servers instead")
        return f"dns:///{servers[0].host}:{servers[0].port}"
    if len(families) > 1:
        raise ValueError("gRPC cannot mix IPv4 addresses, IPv6 addresses and host names; use one kind")
    family = families.pop()
    hosts = [f"[{s.host}]" if family == "ipv6" else s.host for s in servers]
    return family + ":" + ",".join(f"{host}:{s.port}" for host, s in zip(hosts, servers, strict=True))


def _family(server: Server) -> str:
    if not server.is_address:
        return "name"
    return "ipv6" if isinstance(ip_address(server.host), IPv6Address) else "ipv4"


def _credentials(tls: Tls) -> Json:
    # gRFC A65; the files are read again every minute, so rotation works
    files = {"ca_certificate_file": tls.ca, "certificate_file": tls.cert, "private_key_file": tls.key}
    config: Json = {name: path for name, path in files.items() if path}
    return {"type": "tls", "config": config | {"refresh_interval": "60s"}}
