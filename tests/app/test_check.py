"""`tideover check`: errors make the answer no, problems are listed, and the rest is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority
from support.manifests import ClusterFolder, Place, endpoint_slice, service
from support.tideover import Setup
from tideover_app.cli.program import run


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A sound configuration with two clusters."""
    made = Setup(tmp_path / "world")
    for name, address in (("paris", "10.0.0.1"), ("dublin", "10.1.0.1")):
        places = [Place(address), Place(address + "1", ready=False)]
        ClusterFolder(made.cluster_path(name)).write(
            "ratings", service("ratings"), endpoint_slice("ratings", places)
        )
    return made


def checked(capsys: pytest.CaptureFixture[str], setup: Setup) -> tuple[int, dict[str, Any], str]:
    """Exit code and document; and the table, which must end with the same code."""
    code = run(["check", "-c", str(setup.config), "-o", "json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert run(["check", "-c", str(setup.config)]) == code
    return code, document, capsys.readouterr().out


def test_a_sound_configuration_is_counted(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    code, document, table = checked(capsys, setup)
    assert (code, document["ok"], document["errors"], document["problems"]) == (0, True, [], [])
    keys = ("name", "readable", "services", "endpoints", "readyEndpoints")
    found = [tuple(source[key] for key in keys) for source in document["sources"]]
    assert found == [("paris", True, 1, 2, 1), ("dublin", True, 1, 2, 1)]
    assert "is sound" in table


def test_admins_who_cannot_prove_themselves_are_named(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    account = "system:serviceaccount:ops:deployer@oslo"
    setup.settings = {"admins": [account, "user:alice"]}
    setup.write()
    code, document, _ = checked(capsys, setup)
    assert code == 0
    assert [(one["object"], one["message"]) for one in document["problems"]] == [
        (f"Admin {account}", "'oslo' is no live cluster of this file"),
        ("Admin user:alice", "no certificates are asked for: set tls.clientCA"),
    ]


def test_every_error_of_the_file_names_line_and_key(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    setup.config.write_text(
        "region: 5\nbogus: 1\nclusters:\n  - {name: a, manifests: ./a}\n  - {name: a, manifests: ./b}\n"
    )
    code, document, table = checked(capsys, setup)
    assert code == 1
    places = [(Path(e["where"]).name, e["key"]) for e in document["errors"]]
    assert places == [
        ("tideover.yaml:1", "region"),
        ("tideover.yaml:2", "bogus"),
        ("tideover.yaml:5", "clusters[1].name"),
    ]
    assert "tideover.yaml:2: bogus: unknown key" in table
    assert "has errors" in table


@pytest.mark.parametrize("text", ["", "clusters: []\n"])
def test_a_configuration_without_clusters_is_a_problem(
    capsys: pytest.CaptureFixture[str], setup: Setup, text: str
) -> None:
    setup.config.write_text(text)
    code, document, table = checked(capsys, setup)
    assert (code, [p["message"] for p in document["problems"]]) == (0, ["names no cluster"])
    assert "nobody is sent anything" in table


def test_a_configuration_that_is_not_there_is_the_answer_no(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["check", "-c", str(tmp_path / "nothing.yaml")]) == 1
    assert "nothing.yaml" in capsys.readouterr().out


def test_a_source_that_cannot_be_read_is_an_error_and_the_rest_is_checked(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    (setup.cluster_path("paris") / "ratings.json").unlink()
    setup.cluster_path("paris").rmdir()
    code, document, table = checked(capsys, setup)
    assert code == 1
    (error,) = document["errors"]
    assert error["key"] == "clusters[0].manifests"
    assert "cannot be read" in error["message"]
    assert [source["readable"] for source in document["sources"]] == [False, True]
    assert "not readable" in table


def test_policies_that_cannot_be_read_are_an_error(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    clusters = [{"name": "policies", "manifests": "./lost"}]
    setup.settings = {"clusters": clusters, "policies": "./nowhere"}
    setup.write()
    code, document, _ = checked(capsys, setup)
    found = {e["key"]: e["message"].rpartition("/")[2].partition(":")[0] for e in document["errors"]}
    assert (code, found) == (1, {"clusters[0].manifests": "lost", "policies": "nowhere"})


def test_what_this_version_cannot_do_is_an_error(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    setup.settings = {"clusters": [{"name": "live", "inCluster": True}], "peers": ["x"]}
    setup.write()
    code, document, _ = checked(capsys, setup)
    assert code == 1
    assert sorted(e["key"] for e in document["errors"]) == ["clusters[0].inCluster", "peers"]


def test_tls_files_that_run_would_refuse_are_an_error(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    ours, other = Authority().issue("tideover"), Authority().issue("tideover")
    ours.write(setup.folder / "cert.pem", setup.folder / "key.pem")
    setup.settings = {"tls": {"cert": "./cert.pem", "key": "./key.pem"}}
    setup.write()
    assert checked(capsys, setup)[0] == 0
    (setup.folder / "key.pem").write_bytes(other.key)
    code, document, _ = checked(capsys, setup)
    (error,) = document["errors"]
    assert (code, error["key"], "is not the key of" in error["message"]) == (1, "tls", True)


RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: bookinfo}
spec:
  host: ratings
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
"""


@pytest.mark.parametrize(
    ("name", "text", "object_", "says"),
    [
        ("broken.yaml", "kind: [\n", "broken.yaml", ""),
        ("rule.yaml", RULE, "DestinationRule bookinfo/ratings", "consistentHash"),
        (
            "slice.yaml",
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
            "metadata: {name: lost, namespace: bookinfo}\naddressType: IPv4\nendpoints: []\nports: []\n",
            "EndpointSlice bookinfo/lost",
            "service",
        ),
    ],
    ids=["broken YAML", "an unsupported field", "a slice of no service"],
)
def test_problems_are_listed_and_the_answer_stays_yes(
    capsys: pytest.CaptureFixture[str], setup: Setup, name: str, text: str, object_: str, says: str
) -> None:
    ClusterFolder(setup.cluster_path("paris")).write_text(name, text)
    code, document, table = checked(capsys, setup)
    assert (code, document["ok"]) == (0, True)
    found = [p for p in document["problems"] if object_ in p["object"] + p["where"]]
    assert len(found) == 1, document["problems"]
    assert says in found[0]["message"]
    assert found[0]["consequence"]
    assert name in found[0]["where"]
    assert "the rest is used" in table
    assert [source["services"] for source in document["sources"]] == [1, 1]


def test_a_policy_for_a_service_that_nobody_has_is_named(
    capsys: pytest.CaptureFixture[str], setup: Setup
) -> None:
    for name in ("rating", "ratings"):
        policy = "apiVersion: tideover.dev/v1alpha1\nkind: FailoverPolicy\n"
        policy += f"metadata: {{name: {name}, namespace: bookinfo}}\n"
        policy += f"spec: {{targetRefs: [{{kind: Service, name: {name}}}]}}\n"
        ClusterFolder(setup.cluster_path("paris")).write_text(f"policy-{name}.yaml", policy)
    code, document, _ = checked(capsys, setup)
    [problem] = document["problems"]
    assert (code, problem["object"]) == (0, "FailoverPolicy bookinfo/rating")
    assert "no cluster has a service bookinfo/rating; did you mean bookinfo/ratings?" in problem["message"]


def test_an_unreadable_file_is_named(capsys: pytest.CaptureFixture[str], setup: Setup) -> None:
    # a link to itself cannot be read by root either
    file = setup.cluster_path("paris") / "loop.json"
    file.symlink_to(file)
    code, document, _ = checked(capsys, setup)
    assert code == 1
    assert "loop.json" in document["errors"][0]["message"]
