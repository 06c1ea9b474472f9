"""Everything that a training stage says about itself; torch-free, so that recipes print and validate without torch.

A stage is a folder in `stages`: `config.py` with a subclass of `Stage`, which is what a recipe holds, and
`objective.py`, which the subclass imports only when it builds networks.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BeforeValidator, SerializeAsAny

from videoldm.core.config import Config, validate_variant
from videoldm.training import stages
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import CuratedData, WorldData
from videoldm.training.stages.places import CuratedClipsInput, StageInput

if TYPE_CHECKING:
    from torch import nn

    from videoldm.training.forecast import StepMemory
    from videoldm.training.objective import Objective

C = TypeVar("C")


@dataclass(frozen=True)
class ParameterCount:
    """Numbers of parameters that are trained, and that are not."""

    trained: int
    frozen: int


class ForecastError(Exception):
    """The memory of a step cannot be forecast; the text says why."""


class Stage(Config):
    """Base class of all stages: the fields of a subclass are its configuration, the methods its answers.

    Clips are fields of type `WorldData` or `CuratedData`, those to train on named `data`. A subclass gives `kind` one
    value and is made known with `register_stage`.
    """

    kind: str

    @abstractmethod
    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> Objective:
        """Build the networks and open the data; what `cache` lacks is rendered or encoded."""

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Numbers of parameters by what they are part of; empty if they are not known.

        Called where torch creates tensors without data.
        """
        return {}

    def step_memory(self, training: TrainingConfig, *, num_samples: int) -> StepMemory:
        """Forecast the memory of a step on a GPU with micro-batches of `num_samples` samples in each process.

        Raises ForecastError where that is not known.
        """
        del training, num_samples
        raise ForecastError("memory of a step is not forecast: so far it is for stages that denoise")

    def folders(self) -> Sequence[StageInput]:
        """Files and folders on this machine that the stage reads, other than curated clips."""
        return ()

    def inputs(self) -> Sequence[StageInput]:
        """Everything on this machine that the stage reads."""
        curated = [CuratedClipsInput(key, Path(data.folder), data) for key, data in self.curated.items()]
        return [*self.folders(), *curated]

    @property
    def curated(self) -> Mapping[str, CuratedData]:
        """Curated clips that the stage reads, by their keys in a recipe."""
        return self._fields_of(CuratedData)

    @property
    def rendered(self) -> Mapping[str, WorldData]:
        """Clips that are rendered before the first step, by their keys in a recipe."""
        return self._fields_of(WorldData)

    @property
    def curated_training_data(self) -> CuratedData | None:
        """The curated clips to train on; None for a stage that is trained on anything else."""
        return self.curated.get("stage.data")

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError for settings of a run that the stage cannot be trained with."""
        if self.curated_training_data is None:
            return
        largest = max(bucket.batch_size for bucket in self.curated_training_data.buckets)
        if training.batch_size != largest:
            raise ValueError(
                f"training.batch_size is {training.batch_size}, the largest batch of stage.data.buckets is {largest} "
                f"(stage.data.buckets.0.batch_size and so on): both should be the same"
            )

    def check_processes(self, num_processes: int) -> None:
        """Raise InputError if the stage cannot be trained by that many processes."""
        del num_processes

    @property
    def listed_under(self) -> str:
        """Heading of its recipes in `videoldm train --list`."""
        return self.kind

    @property
    def pipeline_tag(self) -> str | None:
        """Task that the hub lists the exported model under; None for a part of a model."""
        return None

    def usage(self, export: str) -> Sequence[str]:
        """Return commands that use what is exported into that folder, for its model card; empty for none."""
        del export
        return ()

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """Parts of a model folder that an export holds, with the path of each within it, "." for the whole export."""
        return {}

    def _fields_of(self, kind: type[C]) -> dict[str, C]:
        values = {f"stage.{name}": getattr(self, name) for name in type(self).model_fields}
        return {key: value for key, value in values.items() if isinstance(value, kind)}


def count_parameters(parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[str, ParameterCount]:
    """Count parameters by the name that comes with each."""
    trained, frozen = defaultdict[str, int](int), defaultdict[str, int](int)
    for name, parameter in parameters:
        trained[name] += parameter.numel() * parameter.requires_grad
        frozen[name] += parameter.numel() * (not parameter.requires_grad)
    return {name: ParameterCount(trained[name], frozen[name]) for name in trained}


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
    return validate_variant(value, _known_stages(), discriminator="kind")


AnyStage = Annotated[SerializeAsAny[Stage], BeforeValidator(_parse)]
"""Type of a field that holds any registered stage; in YAML its `kind` says which."""
