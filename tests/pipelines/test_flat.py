"""Nested plain values as one level of dotted keys: the same for values of a config and for what JSON gives back."""

import json

from pipelines.flat import flat

TREE = {"a": {"b": 1, "c": {"d": None}}, "e": (2, {"f": 3}), "g": {}, "h": []}


def test_keys_are_joined_by_dots() -> None:
    assert flat(TREE) == {"a.b": 1, "a.c.d": None, "e": [2, {"f": 3}], "g": {}, "h": []}
    assert flat({}) == {}


def test_items_of_lists_may_be_keys_too() -> None:
    assert flat(TREE, into_lists=True) == {"a.b": 1, "a.c.d": None, "e.0": 2, "e.1.f": 3}


def test_json_makes_no_difference() -> None:
    for into_lists in (False, True):
        assert flat(json.loads(json.dumps(TREE)), into_lists) == flat(TREE, into_lists)
