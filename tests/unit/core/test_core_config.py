"""Configuration: YAML round trip, overrides, and messages that say what to do."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import Annotated, Literal

import pydantic
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from videoldm.core.config import Config, apply_overrides, from_yaml, to_yaml, validate
from videoldm.core.errors import InputError


class Adam(Config):
    kind: Literal["adam"] = "adam"
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)


class Descent(Config):
    kind: Literal["descent"] = "descent"
    learning_rate: float = 1e-2
    momentum: float = 0.0


class Stage(Config):
    steps: int = Field(default=10, gt=0)
    optimizer: Annotated[Adam | Descent, Field(discriminator="kind")] = Adam()


class Window(Config):
    first: int = 0
    last: int = 10

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Window:
        if self.first > self.last:
            raise ValueError(f"first is {self.first}, it should be at most last, {self.last}")
        return self


class Run(Config):
    name: str = "run"
    rate: Fraction = Fraction(30000, 1001)
    first: Stage = Stage()
    stages: tuple[Stage, ...] = (Stage(),)
    extra: Stage | None = None
    weights: dict[str, float] = {"image": 1.0}  # noqa: RUF012 - pydantic copies defaults
    size: int | Literal["auto"] = "auto"
    limit: float = math.inf
    note: str | None = None
    window: Window = Window()
    source: str | Window = "none"


class Needed(Config):
    steps: int
    inner: Stage = Stage()


_STAGES = st.builds(
    Stage,
    steps=st.integers(1, 1000),
    optimizer=st.builds(Adam, learning_rate=st.floats(0, 1), betas=st.tuples(st.floats(0, 1), st.floats(0, 1)))
    | st.builds(Descent, momentum=st.floats(allow_nan=False)),
)
_RUNS = st.builds(
    Run,
    name=st.text(),
    rate=st.fractions(min_value=1, max_value=240),
    first=_STAGES,
    stages=st.lists(_STAGES, max_size=3).map(tuple),
    extra=st.none() | _STAGES,
    weights=st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=3),
    size=st.just("auto") | st.integers(),
    limit=st.floats(allow_nan=False),
    note=st.none() | st.text(),
)


def _message(*overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        apply_overrides(Run(), list(overrides))
    return str(caught.value)


@settings(max_examples=25)
@given(_RUNS)
def test_yaml_round_trip(run: Run) -> None:
    assert from_yaml(Run, to_yaml(run)) == run


@settings(max_examples=25)
@given(_RUNS)
def test_no_override_changes_nothing(run: Run) -> None:
    assert apply_overrides(run, []) == run


@settings(max_examples=25)
@given(_RUNS, st.integers(1, 10**6), st.floats(allow_nan=False), st.text())
def test_override_changes_its_field_and_no_other(run: Run, steps: int, limit: float, name: str) -> None:
    quoted = yaml.safe_dump(name, default_style='"').strip()
    changed = apply_overrides(run, [f"first.steps={steps}", f"limit={limit!r}", f"name={quoted}"])
    first = run.first.model_copy(update={"steps": steps})
    assert changed == run.model_copy(update={"first": first, "limit": limit, "name": name})


@given(st.text(alphabet=st.characters(exclude_characters="'\"")))
def test_text_is_taken_as_typed(name: str) -> None:
    if name.strip() not in ("null", "~"):
        assert apply_overrides(Run(), [f"name={name}"]).name == name


@pytest.mark.parametrize("name", ["5", "a: b", "cat # 3", "[V] dog", "1e-4", "x=y", "", "'half", "don't"])
def test_text_that_looks_like_yaml_stays_text(name: str) -> None:
    assert apply_overrides(Run(), [f"name={name}"]).name == name


def test_quoted_text_is_unquoted() -> None:
    assert apply_overrides(Run(), ["name='null'"]).name == "null"


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("first.optimizer.learning_rate=1e-3", lambda run: run.first.optimizer == Adam(learning_rate=1e-3)),
        ("--first.steps=3", lambda run: run.first.steps == 3),
        ("stages.0.steps=7", lambda run: run.stages == (Stage(steps=7),)),
        ("extra.steps=4", lambda run: run.extra == Stage(steps=4)),
        ("weights.video=0.5", lambda run: run.weights == {"image": 1.0, "video": 0.5}),
        ("size=64", lambda run: run.size == 64),
        ("note=hello", lambda run: run.note == "hello"),
        ("rate=25/2", lambda run: run.rate == Fraction(25, 2)),
        ("stages=[{steps: 1}, {steps: 2}]", lambda run: [stage.steps for stage in run.stages] == [1, 2]),
        ("first={steps: 1}", lambda run: run.first == Stage(steps=1)),
        ("limit=.inf", lambda run: run.limit == math.inf),
        ("source={first: 1}", lambda run: run.source == Window(first=1)),
    ],
)
def test_override_forms(override: str, read: object) -> None:
    assert callable(read)
    assert read(apply_overrides(Run(), [override]))


def test_new_tag_starts_from_the_variants_own_defaults() -> None:
    run = Run(first=Stage(optimizer=Adam(learning_rate=0.5)))
    assert apply_overrides(run, ["first.optimizer.kind=descent"]).first.optimizer == Descent()
    either_order = ["first.optimizer.momentum=0.9", "first.optimizer.kind=descent"]
    assert apply_overrides(run, either_order).first.optimizer == Descent(momentum=0.9)
    assert apply_overrides(run, ["first.optimizer.kind=adam"]) == run


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nmae=x", "override: nmae is not a known key, did you mean name?"),
        ("first.step=3", "override: first.step is not a known key, did you mean steps?"),
        ("stages.0.step=3", "override: stages.0.step is not a known key, did you mean steps?"),
        (
            "first.optimizer.momentum=1",
            "override: first.optimizer.momentum is not a known key, known keys are betas, kind, learning_rate",
        ),
        ("first.optimizer.kind=adan", "override: first.optimizer has kind 'adan', should be one of 'adam', 'descent'"),
        ("first.steps=0", "override: first.steps is 0, should be greater than 0"),
        ("limit=.nan", "override: limit is NaN, it should be a number"),
        ("window.first=11", "override: window first is 11, it should be at most last, 10"),
        ("stages.3.steps=1", "override: stages.3 is not an item of a list of 1, give 0 to 0"),
        ("stages.last.steps=1", "override: stages.last is not an item of a list of 1, give 0 to 0"),
        ("name.first=1", "override: name is 'run', it has no key 'first'"),
        ("first.steps", "override: 'first.steps' should look like key.path=value"),
        ("first..steps=1", "override: 'first..steps=1' should look like key.path=value"),
        ("=1", "override: '=1' should look like key.path=value"),
        ("limit=[1", "override: limit is '[1', expected ',' or ']', but got '<stream end>' (line 1, column 3)"),
        ("name=null", "override: name is None, should be a valid string"),
    ],
)
def test_message_names_key_value_and_remedy(override: str, message: str) -> None:
    assert _message(override) == message


def test_union_without_tag_gives_one_line_for_all_variants() -> None:
    message = _message("size=large")
    assert message.startswith("override: size is 'large', should be a whole number")
    assert message.endswith("or should be 'auto'")


def test_each_problem_has_its_line() -> None:
    lines = _message("first.steps=x", "rate=0/0", "wieghts.image=1").splitlines()
    assert [line.split()[1] for line in lines] == ["rate", "first.steps", "wieghts"]


def test_missing_key_is_named_with_its_source() -> None:
    with pytest.raises(InputError, match=r"^run\.yaml: steps is missing, it has no default$"):
        from_yaml(Needed, "inner: {steps: 3}", source="run.yaml")


def test_missing_key_comes_with_an_example_if_its_field_has_one() -> None:
    class Clips(Config):
        folder: Annotated[str, Field(examples=["clips"])]

    class Stage(Config):
        data: Clips

    with pytest.raises(InputError, match=r"^run\.yaml: data\.folder is missing, for example clips$"):
        from_yaml(Stage, "data: {}", source="run.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3\nsteps: 4", r"^config: is not readable as YAML, key 'steps' is given twice \(line 2, column 1\)$"),
        ("- 1\n- 2", r"^config: holds \[1, 2\], it should hold `key: value` lines$"),
        ("steps: [", r"^config: is not readable as YAML, .*\(line 1, column 9\)$"),
        ("steps: 3\ninner: 4", r"^config: inner is 4, should be a valid dictionary or instance of Stage$"),
        ("steps: \x00", r"^config: is not readable as YAML, "),
    ],
)
def test_bad_yaml_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_yaml(Needed, text)


@settings(max_examples=60)
@given(st.text(alphabet="[]{}:,-?&*!|>'\"%@` \n#0.ea\x00\u2028"))
@example("1: 2")
@example("? {a: 1}\n: 2")
@example("&a [*a]")
@example("<<: 1")
@example("stages: 0")
@example("[" * 500)
def test_any_text_is_a_config_or_an_input_error(text: str) -> None:
    for read in (lambda: from_yaml(Run, text), lambda: apply_overrides(Run(), [text, f"first={text}", f"{text}=1"])):
        with contextlib.suppress(InputError):
            read()


def test_empty_text_means_defaults() -> None:
    assert from_yaml(Run, "") == Run()


def test_long_values_are_cut() -> None:
    with pytest.raises(InputError) as caught:
        validate(Needed, {"steps": "9" * 1000 + "x"})
    assert len(str(caught.value)) < 250


def test_config_is_frozen_and_hashable() -> None:
    stage = Stage()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        stage.steps = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(stage) == hash(Stage())


def test_nan_inside_a_tuple_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="betas is NaN"):
        Adam(betas=(0.9, math.nan))
