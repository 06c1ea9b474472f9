"""The run-time shape checks that every other test relies on do find wrong shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

import jaxtyping
import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from shape_checks import check_shapes, has_shapes
from source_rules import unresolved_shapes
from torch import Tensor

import videoldm.core.random
import videoldm.diffusion.denoiser

_Pair = tuple[Float[Tensor, "b c"], int]


class _Weight(Protocol):
    def __call__(self, sigma: float) -> float: ...


class _Sampler:
    def step(self, x: Float[Tensor, "b c"], sigma: Float[Tensor, " b"], weight: _Weight) -> Float[Tensor, "b c"] | None:
        return None if weight(0.0) == 0 else x[:, : int(weight(0.0))] * sigma[:, None]

    def itself(self) -> Self:
        return self


_step = jaxtyped(_Sampler.step, typechecker=check_shapes)


def test_right_shapes_pass() -> None:
    assert _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 3) is not None
    assert _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 0) is None


def test_wrong_argument_is_found() -> None:
    with pytest.raises(TypeCheckError, match="parameters"):
        _step(_Sampler(), torch.ones(2, 3), torch.ones(3), lambda sigma: 3)


def test_wrong_result_is_found() -> None:
    with pytest.raises(TypeCheckError, match="return value"):
        _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 2)


def test_functions_without_shapes_are_left_alone() -> None:
    assert check_shapes(_Sampler.itself) is _Sampler.itself


def test_every_annotated_shape_is_checked() -> None:
    assert unresolved_shapes(Path(__file__).parents[2] / "src" / "videoldm") == []


MODULE = """
from __future__ import annotations
from typing import TYPE_CHECKING
from jaxtyping import Float
from torch import Tensor
if TYPE_CHECKING:
    from videoldm.video.read import Frame

Early = Float[Tensor, "b c"]

class _Sampler:
    state: Late
    early: Early

    def step(self, x: Float[Tensor, "b c"], y: tuple[Early, Late], name: str) -> Float[Tensor, "b c"] | Frame:
        inner: Late = x
        return inner

    def itself(self) -> _Sampler:
        def later(x: Late) -> Late:
            return x
        return self

Late = Float[Tensor, "b"]
"""


def test_shapes_that_cannot_be_resolved_where_they_stand_are_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    assert [problem.rpartition(", as ")[2] for problem in unresolved_shapes(tmp_path)] == [
        "Late cannot be resolved there",
        "Late cannot be resolved there",
        "Frame cannot be resolved there",
    ]


@pytest.mark.parametrize(
    ("annotation", "is_shape"),
    [
        ('Float[Tensor, "b c"]', True),
        ('dict[str, list[jaxtyping.Float[Tensor, "b c"]]] | None', True),
        ("_Pair", True),
        ("Mapping[str, _Pair]", True),
        ("Tensor | None", False),
        ("Unknown[str]", False),
    ],
)
def test_shapes_are_found_in_source_text(annotation: str, *, is_shape: bool) -> None:
    def function(x: object) -> None: ...

    assert jaxtyping.Float is Float  # annotations may use either
    function.__annotations__["x"] = annotation
    assert has_shapes(function) == is_shape


def test_functions_of_the_package_with_shapes_are_hooked_and_no_others() -> None:
    assert hasattr(videoldm.diffusion.denoiser.over_clip, "__wrapped__")
    assert not hasattr(videoldm.core.random.generator, "__wrapped__")
