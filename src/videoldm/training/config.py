"""What a training run can be told; torch-free, so that recipes print and validate without it."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config
from videoldm.core.numbers import NonNegative, Positive, Share


class ConstantRate(Config):
    """Learning rate stays at its peak after the warm-up."""

    kind: Literal["constant"] = "constant"


class CosineRate(Config):
    """Learning rate falls along half a cosine to `final_fraction` of its peak at the last sample."""

    kind: Literal["cosine"] = "cosine"
    final_fraction: Share = 0.05


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Config):
    """Adam with decoupled weight decay (arXiv 1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class AdamW8bit(AdamW):
    """AdamW with moments kept in 8 bits, at a quarter of the memory (arXiv 2110.02861)."""

    kind: Literal["adamw-8bit"] = "adamw-8bit"  # pyright: ignore[reportIncompatibleVariableOverride]


class SGD(Config):
    """Stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    momentum: Beta = 0.0
    weight_decay: NonNegative = 0.0


class OptimizerConfig(Config):
    """An algorithm and the course of its learning rate, with a linear warm-up counted in samples."""

    learning_rate: Positive
    warmup_samples: NonNegativeInt = 0
    decay: Annotated[ConstantRate | CosineRate, Field(discriminator="kind")] = ConstantRate()
    algorithm: Annotated[AdamW | AdamW8bit | SGD, Field(discriminator="kind")] = AdamW()


class ClassicAverage(Config):
    """Moving average with decay `min(decay, (1 + n) / (10 + n))` after n steps (sgm's warm-up)."""

    kind: Literal["classic"] = "classic"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


class TrainingConfig(Config):
    """One run of the loop; every length is counted in samples, so that a new batch size keeps its meaning."""

    seed: int = 0
    num_samples: PositiveInt
    batch_size: PositiveInt
    accumulation_steps: PositiveInt = 1
    optimizer: OptimizerConfig
    gradient_clip: Positive = 1.0
    average: ClassicAverage = ClassicAverage()
    precision: Literal["float32", "bfloat16"] = "float32"
    log_every_samples: PositiveInt = 1024
    validate_every_samples: PositiveInt = 16384
    checkpoint_every_samples: PositiveInt = 16384

    @model_validator(mode="after")
    def _periods_fit(self) -> "TrainingConfig":
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulation_steps {self.accumulation_steps}"
            )
        # A log line is the mean since the line before it, which a run that resumes between two lines could not know.
        if self.checkpoint_every_samples % self.log_every_samples:
            raise ValueError(
                f"checkpoint_every_samples {self.checkpoint_every_samples} is not a multiple of log_every_samples "
                f"{self.log_every_samples}"
            )
        return self
