"""Kubeconfigs: what may be in them, by where they come from, and what is said of a bad one."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.certificates import Authority
from support.wait import until
from tideover_discovery.kubernetes.client import BadKubeconfig, InCluster, KubeconfigFile, KubeconfigText
from tideover_discovery.kubernetes.client import access as access_module

SERVER = "https://paris.example:6443"
CA = Authority().pem


def encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode()


def config(user: Any = None, **cluster: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": SERVER, **cluster}}],
            "users": [{"name": "u", "user": {"token": "secret-one"} if user is None else user}],
            "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "it",
        }
    )


async def test_a_text_with_all_that_it_may_have_is_taken() -> None:
    pair = Authority("client").issue("client")
    user = {"client-certificate-data": encoded(pair.cert), "client-key-data": encoded(pair.key)}
    text = config(user, **{"certificate-authority-data": encoded(CA), "tls-server-name": "kube"})
    loaded = await KubeconfigText(text).current()
    assert (loaded.server, loaded.authorization, loaded.tls_server_name) == (SERVER, "", "kube")
    assert (await KubeconfigText(config()).current()).authorization == "Bearer secret-one"


def repeating(form: str, use: str) -> str:
    """Few lines that stand for 10^9 values, or for as many steps of merging them."""
    lines = ["a: &a {x: y}"]
    lines += [
        f"{name}: &{name} " + form.format(", ".join([f"*{before}"] * 10))
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join([*lines, use])


STRANGE_USERS = [
    ({"exec": {"command": "sh", "apiVersion": "v1"}}, "exec"),
    ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    ({"tokenFile": "/etc/shadow"}, "tokenFile"),
    ({"client-certificate": "/etc/hosts"}, "client-certificate"),
    ({"client-key": "../key"}, "client-key"),
    ({"username": "admin", "password": "p"}, "passwords"),
    ({"token": "a", "as": "system:admin"}, "as"),
    ({"token": 7}, "token"),
    ({"token": "a\nX-Evil: 1"}, "token"),
]
STRANGE_CLUSTERS = [
    ({"insecure-skip-tls-verify": True}, "insecure-skip-tls-verify"),
    ({"certificate-authority": "/etc/ssl/ca.pem"}, "certificate-authority"),
    ({"proxy-url": "http://proxy.example"}, "proxy-url"),
    ({"server": "http://paris.example"}, "not https"),
    ({"server": "http://127.0.0.1:8080"}, "not https"),
    ({"server": "https://u:p@paris.example"}, "user name or password"),
    ({"server": "https://paris.example:99999"}, "no URL"),
    ({"server": "file:///etc/passwd"}, "no URL"),
    ({"server": ""}, "names no server"),
    ({"something-new": "x"}, "something-new"),
]


@pytest.mark.parametrize(("user", "word"), STRANGE_USERS)
def test_a_stranger_may_not_reach_out_of_the_text_by_its_user(user: Any, word: str) -> None:
    with pytest.raises(BadKubeconfig, match=word):
        KubeconfigText(config(user))


@pytest.mark.parametrize(("cluster", "word"), STRANGE_CLUSTERS)
def test_a_stranger_may_not_reach_out_of_the_text_by_its_cluster(cluster: Any, word: str) -> None:
    with pytest.raises(BadKubeconfig, match=word):
        KubeconfigText(config(**cluster))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("[]", "no kubeconfig"),
        ("items: [7]\nkind: List", "no kubeconfig"),
        ("a: [", "YAML: see line 1"),
        (b"\xff", "no text"),
        ("{}", "current-context"),
        ("current-context: it", "no context 'it'"),
        ("current-context: it\ncontexts: [{name: it, context: {cluster: c}}]", "no cluster 'c'"),
        ("current-context: it\ncontexts: 7", "no context"),
        ("[" * 5000, "YAML: see line"),
        ("a: " + "x" * (1 << 17), "larger than 128 KiB"),
        ("!!python/object/apply:os.system ['true']", "YAML: see line"),
        (repeating("[{}]", "current-context: *i"), "YAML: see line"),
        (repeating("{{<<: [{}]}}", "users: *i"), "YAML: see line"),
        ("current-context: " + "x" * 9999, r"no context 'x{80}'\Z"),
    ],
)
def test_what_is_no_kubeconfig_is_refused_with_the_reason_and_without_its_text(
    text: str | bytes, word: str
) -> None:
    with pytest.raises(BadKubeconfig, match=word):
        KubeconfigText(text)


def test_a_message_holds_no_secret() -> None:
    with pytest.raises(BadKubeconfig) as refusal:
        KubeconfigText(config().replace("token: secret-one", "token: secret-one: x"))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "user",
    [
        {"client-certificate-data": "%%%"},
        {"client-certificate-data": encoded(b"none"), "client-key-data": "eA=="},
    ],
)
async def test_certificates_that_are_none_are_refused(user: Any) -> None:
    with pytest.raises(BadKubeconfig):
        await KubeconfigText(config(user)).current()


# --- on the operator's own disk


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(access_module, "PLUGIN_EVERY_S", 0.0)


async def test_files_beside_a_kubeconfig_are_found_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.pem").write_bytes(CA)
    path = tmp_path / "kubeconfig"
    path.write_text(config({"tokenFile": "token"}, **{"certificate-authority": "ca.pem"}))
    access = KubeconfigFile(path)
    assert (await access.current()).authorization == "Bearer one"
    settled = await access.current()  # reads the files once more, now that it knows which they are
    assert await access.current() is settled
    (tmp_path / "token").write_text("two, longer".replace(", ", "-"))
    assert (await access.current()).authorization == "Bearer two-longer"


@pytest.mark.parametrize("broken", ["", config()[:150], "a: [", config({"exec": {"command": "/nowhere/x"}})])
async def test_a_kubeconfig_broken_in_place_keeps_the_last_good_credentials_and_says_so(
    tmp_path: Path, broken: str
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(config())
    access = KubeconfigFile(path)
    first = await access.current()
    path.write_text(broken)
    assert await access.current() is first
    assert access.problem.startswith(f"kubeconfig {path}: ")
    assert await access.current() is first
    assert access.problem
    path.unlink()
    assert await access.current() is first
    assert access.problem == f"kubeconfig {access.path}: No such file or directory"
    path.write_text(config({"token": "mended"}))
    assert (await access.current()).authorization == "Bearer mended"
    assert access.problem == ""


async def test_a_kubeconfig_that_never_was_good_is_refused_until_it_is(tmp_path: Path) -> None:
    access = KubeconfigFile(tmp_path / "kubeconfig")
    with pytest.raises(BadKubeconfig, match="No such file"):
        await access.current()
    (tmp_path / "kubeconfig").write_text(config())
    assert (await access.current()).server == SERVER


async def test_another_context_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(config())
    with pytest.raises(BadKubeconfig, match="no context 'dublin'"):
        await KubeconfigFile(tmp_path / "kubeconfig", "dublin").current()


def plugin(folder: Path, body: str) -> dict[str, Any]:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}


async def test_a_plug_in_gives_the_token_and_runs_again_when_that_ends(tmp_path: Path) -> None:
    answer = {"status": {"token": "TOKEN", "expirationTimestamp": "2020-01-01T00:00:00Z"}}
    count = tmp_path / "count"
    said = json.dumps(answer).replace("TOKEN", "t$(wc -l <COUNT)").replace("COUNT", str(count))
    body = f'echo x >>{count}\ntest -n "$KUBERNETES_EXEC_INFO" && cat <<END\n{said}\nEND'
    (tmp_path / "kubeconfig").write_text(config({"exec": plugin(tmp_path, body)}))
    access = KubeconfigFile(tmp_path / "kubeconfig")
    assert (await access.current()).authorization == "Bearer t1"
    assert (await access.current()).authorization == "Bearer t2"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("echo no idea >&2; exit 3", "ended with 3: no idea"),
        ("echo '{}'", "no ExecCredential"),
        ("echo nonsense", "no ExecCredential"),
        ("""echo '{"status":{}}'""", "neither token nor certificate"),
    ],
)
async def test_a_plug_in_that_fails_says_why(tmp_path: Path, body: str, word: str) -> None:
    (tmp_path / "kubeconfig").write_text(config({"exec": plugin(tmp_path, body)}))
    with pytest.raises(BadKubeconfig, match=word):
        await KubeconfigFile(tmp_path / "kubeconfig").current()


async def test_a_plug_in_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tideover_discovery.kubernetes.client import exec_plugin

    monkeypatch.setattr(exec_plugin, "PLUGIN_TIMEOUT_S", 0.2)
    (tmp_path / "kubeconfig").write_text(config({"exec": plugin(tmp_path, "exec sleep 1000")}))
    with pytest.raises(BadKubeconfig, match="took longer"):
        await KubeconfigFile(tmp_path / "kubeconfig").current()


async def test_what_takes_long_to_read_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in that asks somebody, or a file system that hangs."""
    monkeypatch.setattr(access_module, "PATIENCE_S", 0.1)
    path, go = tmp_path / "kubeconfig", tmp_path / "go"
    path.write_text(config())
    access = KubeconfigFile(path)
    first = await access.current()
    body = f"""while ! test -e {go}; do sleep 0.01; done; echo '{{"status":{{"token":"late"}}}}'"""
    path.write_text(config({"exec": plugin(tmp_path, body)}))
    assert await access.current() is first
    assert "not been read" in access.problem
    go.touch()

    async def renewed() -> bool:
        return (await access.current()).authorization == "Bearer late"

    await until(renewed)
    assert access.problem == ""


# --- in a pod


async def test_the_service_account_of_the_pod_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = InCluster(tmp_path)
    with pytest.raises(BadKubeconfig, match="host/port is not set"):
        await access.current()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "ca.crt").write_bytes(CA)
    (tmp_path / "token").write_text("one\n")
    loaded = await access.current()
    assert (loaded.server, loaded.authorization) == ("https://[fd00::1]:443", "Bearer one")
    (tmp_path / "token").write_text("another")
    assert (await access.current()).authorization == "Bearer another"
