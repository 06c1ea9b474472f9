"""Training of the feature network that judges generated clips; torch-free."""

from typing import Literal, Self

from pydantic import model_validator

from videoldm.core.config import Config, Share
from videoldm.measures.config import FeatureNetworkConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.data.config import WorldData


class JudgeStage(Config):
    """The feature network that tells shape, colour, motion and camera of a clip."""

    kind: Literal["judge"] = "judge"
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
