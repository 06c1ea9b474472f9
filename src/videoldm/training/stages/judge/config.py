"""Training of the feature network that judges generated clips; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from videoldm.core.config import Share
from videoldm.measures.config import FeatureNetworkConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.data.config import WorldData
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.stages.judge.objective import JudgeObjective


@register_stage
class JudgeStage(Stage):
    """A feature network that names shape, colour, motion and camera of a clip."""

    kind: Literal["judge"] = "judge"  # pyright: ignore[reportIncompatibleVariableOverride]
    model: FeatureNetworkConfig
    data: WorldData
    validation: WorldData
    label_smoothing: Share = 0.02

    @model_validator(mode="after")
    def _heads_are_labels_of_the_world(self) -> Self:
        for head, names in self.model.heads.items():
            if names != LABELS.get(head):
                known = "; ".join(f"{label}: {', '.join(classes)}" for label, classes in LABELS.items())
                raise ValueError(f"model.heads has {head}: {', '.join(names)}, the labels of the world are {known}")
        return self

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> JudgeObjective:
        """Build the feature network and open the clips."""
        from videoldm.training.stages.judge.objective import JudgeObjective

        return JudgeObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the network's parameters, all of which are trained."""
        from videoldm.measures.feature_network import FeatureNetwork

        return count_parameters(("judge", parameter) for parameter in FeatureNetwork(self.model).parameters())

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """The feature network."""
        return {"judge": "."}
