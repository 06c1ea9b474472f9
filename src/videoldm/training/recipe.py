"""A run: what is trained and how; torch-free."""

from videoldm.core.config import Config
from videoldm.training.config import TrainingConfig
from videoldm.training.stages.config import Stage


class Recipe(Config):
    """Everything that decides a run's outcome; its YAML dump beside the weights repeats it."""

    name: str
    summary: str
    stage: Stage
    training: TrainingConfig
