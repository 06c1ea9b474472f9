"""YAML without surprises."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from videoldm.core import yaml_text

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES)
@example({"\x85": "a\u2028b"})
def test_what_is_dumped_is_loaded(value: object) -> None:
    loaded = yaml_text.load(yaml_text.dump(value))
    assert loaded == value
    assert repr(loaded) == repr(value)  # tells 1 from 1.0 and True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("3", 3),
        ("010", 10),
        (".inf", math.inf),
        ("true", True),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("0x1f", "0x1f"),
        ("'5'", "5"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    loaded = yaml_text.load(text)
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "{a: 1, a: 2}", "b:\n  a: 1\n  a: 1", "a: [1", "!!python/object:os.x {}", "? [a]\n: 1", "9" * 5000],
)
def test_bad_text_is_an_error(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        yaml_text.load(text)


def test_keys_keep_their_order() -> None:
    assert yaml_text.dump({"b": 1, "a": [2]}) == "b: 1\na:\n- 2\n"


def test_equal_parts_are_written_out() -> None:
    shared = [1]
    assert "&" not in yaml_text.dump({"a": shared, "b": shared})
