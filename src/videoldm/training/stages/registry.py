"""The open set of stages that a recipe can hold, by their kinds; torch-free.

The stages of this package are found by themselves. A stage elsewhere is known once its module is imported.
"""

from __future__ import annotations

import functools
import importlib
import operator
import pkgutil
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter

from videoldm.training import stages
from videoldm.training.stages.stage import Stage

StageType = TypeVar("StageType", bound=type[Stage])
_STAGES: dict[str, type[Stage]] = {}


def register_stage(stage: StageType) -> StageType:
    """Let recipes hold the decorated stage, whose field `kind` has one value."""
    kind = stage.model_fields["kind"].default
    assert _STAGES.setdefault(kind, stage) is stage, f"two stages are of kind {kind!r}"
    return stage


def _known_stages() -> list[type[Stage]]:
    """Import the configurations in this package, and return all registered stages by kind."""
    for package in pkgutil.iter_modules(stages.__path__, f"{stages.__name__}."):
        if package.ispkg:
            importlib.import_module(f"{package.name}.config")
    return [_STAGES[kind] for kind in sorted(_STAGES)]


def _parse(value: Any) -> Any:
    """Turn a mapping into the stage that its `kind` asks for."""
    if not isinstance(value, Mapping):
        return value
    variants: Any = functools.reduce(operator.or_, _known_stages())
    adapter: Any = TypeAdapter(Annotated[variants, Field(discriminator="kind")])  # pyright: ignore[reportArgumentType, reportInvalidTypeForm]
    return adapter.validate_python(value)


AnyStage = Annotated[SerializeAsAny[Stage], BeforeValidator(_parse)]
"""Type of a field that holds any registered stage; in YAML its `kind` says which."""
