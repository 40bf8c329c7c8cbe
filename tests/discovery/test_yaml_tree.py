"""YAML text into values: what Kubernetes' manifests use, within bounds, each fault with its line."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tideover_discovery.kubernetes.yaml_tree import MAX_DEPTH, BadYaml, objects_in


def one(text: str) -> Any:
    ((_, _, value),) = objects_in(text)
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -7", -7),
        ("a: 1.5", 1.5),
        ("a: true", True),
        ("a: ~", None),
        ("a:", None),
        ("a: 'true'", "true"),
        ('a: "1"', "1"),
        ("a: !!str 1", "1"),
        ("a: on", "on"),  # YAML 1.1 would make it true: a label `on` stays text
        ("a: 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("a: 0777", "0777"),
        ("a: 1e5", "1e5"),  # a hash that looks like a number
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: [1, x]", [1, "x"]),
        ("a: {b: &x {c: 1}, d: *x}", {"b": {"c": 1}, "d": {"c": 1}}),
        ("a: {<<: {b: 1, c: 1}, c: 2}", {"b": 1, "c": 2}),
        ("a: " + "9" * 5000, "9" * 5000),
    ],
)
def test_scalars_and_collections(text: str, value: Any) -> None:
    assert one(text)["a"] == value


def test_items_of_a_list_come_with_their_own_lines_and_its_kind() -> None:
    text = "apiVersion: v1\nkind: PodList\nitems:\n- a: 1\n\n- a: 2\nmetadata: {}\n"
    assert list(objects_in(text)) == [(4, "Pod", {"a": 1}), (6, "Pod", {"a": 2})]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1", 2, "not YAML"),
        ("a: 1\n\ta: 2", 2, "not YAML"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "'c' occurs twice"),
        ("a: *nobody", 1, "names nothing"),
        ("a: !!python/object/apply:os.system [x]", 1, "no meaning here"),
        ("a: !secret x", 1, "no meaning here"),
        ("# cut off\nitems: [{a: 1}]", 2, "kind: List"),
        ("? [a, b]\n: 1", 1, "not plain text"),
        ("- a", 1, "a manifest is a mapping"),
        ("just words", 1, "a manifest is a mapping"),
        ("a: \x00", 1, "not YAML"),
        ("a: {<<: 1}", 1, "merges mappings"),
        ("\n".join(f"{'  ' * n}a:" for n in range(MAX_DEPTH + 3)) + " 1", MAX_DEPTH + 2, "deep"),
        ("a: " + "[" * 100_000, 1, "deep"),
    ],
)
def test_a_fault_names_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(BadYaml, match=words) as error:
        list(objects_in(text))
    assert error.value.line == line


def test_aliases_cannot_multiply_without_end() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(BadYaml, match="aliases repeat more than"):
        list(objects_in("\n".join(lines)))


LEAF = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8)
TREE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(TREE)
def test_what_is_written_is_read(value: Any) -> None:
    text = yaml.safe_dump({"a": value})
    assert one(text) == {"a": value}
