"""One file into objects: what is broken is named with line and object, the rest is read."""

from __future__ import annotations

import json

import pytest

from support.manifests import Place, endpoint_slice, namespace, node, pod, service
from tideover_discovery.kubernetes.manifest import read_manifest
from tideover_discovery.kubernetes.objects import Key, Pod

RATINGS = Key("Service", "bookinfo", "ratings")
YAML = b"""\
# bookinfo
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: bookinfo}
spec: {ports: [{port: 9080}]}
---
apiVersion: v1
kind: Service
metadata:
  namespace: bookinfo
  name: reviews
spec: {ports: [
---
# only a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: bookinfo}
"""


def test_a_broken_document_is_named_and_those_around_it_are_read() -> None:
    found = read_manifest(YAML, "bookinfo.yaml")
    assert list(found.items) == [RATINGS, Key("Namespace", "", "bookinfo")]
    (broken,) = found.broken
    assert broken.where.startswith("bookinfo.yaml:1")
    assert broken.line in (12, 13)
    assert str(broken.key) == "Service bookinfo/reviews"
    assert "not YAML" in broken.message
    assert not broken.certain


def test_a_broken_node_is_in_no_namespace() -> None:
    (broken,) = read_manifest(b"kind: Node\nmetadata: {name: n1, labels: {a: [}}\n", "x.yaml").broken
    assert str(broken.key) == "Node n1"


def test_each_object_knows_its_line_in_yaml() -> None:
    found = read_manifest(YAML, "bookinfo.yaml")
    assert found.items[RATINGS].where == "bookinfo.yaml:2"
    assert found.items[Key("Namespace", "", "bookinfo")].where == "bookinfo.yaml:16"


def test_each_object_knows_its_line_in_json() -> None:
    text = json.dumps({"kind": "List", "items": [service("a"), service("b")]}, indent=2)
    found = read_manifest(text.encode(), "x.json")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if line == "    {"]
    assert [item.line for item in found.items.values()] == lines


def test_lists_of_one_kind_need_not_repeat_it() -> None:
    item = {"metadata": {"name": "p1", "namespace": "a"}}
    for data in (
        json.dumps({"apiVersion": "v1", "kind": "PodList", "items": [item]}).encode(),
        b"apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p1, namespace: a}\n",
    ):
        found = read_manifest(data, "pods")
        assert isinstance(found.items[Key("Pod", "a", "p1")].body, Pod)
        assert found.broken == ()


def test_json_and_yaml_of_the_same_objects_are_the_same() -> None:
    import yaml

    objects = [
        service("ratings"),
        endpoint_slice("ratings", [Place("10.0.0.1", "a", node="n", pod="p")]),
        pod("p", labels={"app": "x"}, annotations={"tideover.dev/weight": "2"}),
        node("n", "eu", "a"),
        namespace("bookinfo"),
    ]
    as_list = {"kind": "List", "items": objects}
    one = read_manifest(json.dumps(as_list).encode(), "a.json")
    two = read_manifest(yaml.safe_dump(as_list).encode(), "a.yaml")
    three = read_manifest(yaml.safe_dump_all(objects).encode(), "a.yaml")
    assert len(one.items) == 5
    for other in (two, three):
        assert {k: i.body for k, i in other.items.items()} == {k: i.body for k, i in one.items.items()}


def test_other_kinds_are_none_of_our_business() -> None:
    found = read_manifest(b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", "x.yaml")
    assert (found.items, found.broken) == ({}, ())
    knative = b"apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: 7}\n"
    found = read_manifest(knative, "x.yaml")
    assert (found.items, found.broken) == ({}, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metadata: {name: x}", "no kind"),
        ("kind: Service\nmetadata: {namespace: x}", "name is missing"),
        (
            "kind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {ports: [{port: http}]}",
            r"\$.spec.ports\[0\].port",
        ),
        ("kind: Pod\napiVersion: v1\nmetadata: {name: x, labels: {version: 1}}", "labels"),
        ("kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: x}", "names no Service"),
        (
            "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1beta1\nmetadata: {name: x}",
            "not a version that is read",
        ),
        (
            "kind: TrafficWish\napiVersion: tideover.dev/v1alpha1\nmetadata: {name: x}",
            "not acted on by this version",
        ),
        ("kind: List\nitems: [1]", "no mapping"),
        ("kind: Service\nmetadata: 7", "Expected"),
        ("kind: Service\nmetadata: {name: a/b}", "no name that Kubernetes allows"),
        ("kind: Service\nmetadata: {name: a.b}", "no name that Kubernetes allows"),
        ("kind: Service\nmetadata: {name: a, namespace: 'b:80'}", "namespace 'b:80' is no name"),
        (f"kind: Pod\nmetadata: {{name: {'a' * 300}}}", "no name that Kubernetes allows"),
    ],
)
def test_a_broken_object_is_a_refusal_in_words(text: str, words: str) -> None:
    found = read_manifest(text.encode(), "x.yaml")
    assert found.items == {}
    assert [b for b in found.broken if __import__("re").search(words, b.message)], found.broken


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'{\n"kind": "List",\n"items": [}', 3),
        (b'{\n"kind": "List",\n"items": [', 3),
        (b'{"a": "\xff"}', 1),
        (b'{"items": ' + b"[" * 200_000, 1),
        (b'{"kind": "Pod", "metadata": {"name": "x"}, "spec": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 1),
        (b"[]", 1),
    ],
)
def test_broken_json_names_its_line(data: bytes, line: int) -> None:
    found = read_manifest(data, "x.json")
    assert found.items == {}
    assert [broken.line for broken in found.broken] == [line]


def test_files_from_windows_are_read() -> None:
    for file, data in (("x.json", dump_text().encode("utf-8-sig")), ("x.yaml", YAML.replace(b"\n", b"\r\n"))):
        assert RATINGS in read_manifest(data, file).items
    (broken,) = read_manifest(YAML.decode().encode("utf-16"), "x.yaml").broken
    assert "not UTF-8" in broken.message


def dump_text() -> str:
    return json.dumps(service("ratings"))


def test_yaml_may_look_like_json() -> None:
    text = b"{kind: Pod, metadata: {name: a}}\n---\n{kind: Pod, metadata: {name: b}}\n"
    assert [key.name for key in read_manifest(text, "x.yaml").items] == ["a", "b"]
    assert read_manifest(text, "x.json").items == {}


def test_text_that_is_not_utf8() -> None:
    (broken,) = read_manifest(b"kind: Service\nmetadata: {name: '\xff'}\n", "x.yaml").broken
    assert (broken.line, "not UTF-8" in broken.message) == (2, True)


@pytest.mark.parametrize("data", [b"", b"  \n\n", b"# nothing\n", b"---\n# nothing\n---\n"])
def test_a_file_that_says_nothing_is_broken_but_hides_nothing(data: bytes) -> None:
    (broken,) = read_manifest(data, "x.yaml").broken
    assert not broken.certain
    assert not broken.hides


def test_an_empty_list_is_whole() -> None:
    for data in (b"kind: List\nitems: []\n", b'{"kind": "List", "items": []}', b"kind: List\nitems:\n"):
        found = read_manifest(data, "x")
        assert (found.items, found.broken) == ({}, ())


def test_the_first_of_two_objects_of_one_name_counts() -> None:
    found = read_manifest(b"---\n".join([YAML.split(b"---")[0]] * 2), "x.yaml")
    assert found.items[RATINGS].line == 2
    assert [b.message for b in found.broken] == ["also at line 2, which counts"]


def test_what_did_not_change_is_the_same_object() -> None:
    before = read_manifest(YAML, "x.yaml")
    after = read_manifest(YAML.replace(b"{name: bookinfo}", b"{name: other}"), "x.yaml", before)
    assert after.items[RATINGS] is before.items[RATINGS]
    moved = read_manifest(b"# a line more\n" + YAML, "x.yaml", before)
    assert moved.items[RATINGS].body is before.items[RATINGS].body
    assert moved.items[RATINGS].line == 3


def test_a_separator_inside_a_block_is_still_a_separator_and_indented_ones_are_not() -> None:
    text = b"kind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: |\n    ---\n    kind: Service\n"
    found = read_manifest(text, "x.yaml")
    assert (found.items, found.broken) == ({}, ())
