"""Settings of a training run; torch-free, so that recipes print and validate without torch."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from videoldm.core.config import Config, NonNegative, Positive, Share


class ConstantRate(Config):
    """Learning rate that stays at its peak after the warm-up."""

    kind: Literal["constant"] = "constant"


class CosineRate(Config):
    """Learning rate that falls along half a cosine to `final_fraction` of its peak at the last sample."""

    kind: Literal["cosine"] = "cosine"
    final_fraction: Share = 0.05


LONGEST_PROFILE = 0.28
"""Length of a nearly flat profile; with exponent 0, exactly flat, it is 12 ** -0.5."""
Length = Annotated[float, Field(gt=0, le=LONGEST_PROFILE)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Config):
    """Adam with decoupled weight decay (arXiv 1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class AdamW8bit(AdamW):
    """AdamW with moments in 8 bits, at a quarter of the memory (arXiv 2110.02861)."""

    kind: Literal["adamw-8bit"] = "adamw-8bit"  # pyright: ignore[reportIncompatibleVariableOverride]


class Muon(AdamW):
    """Momentum orthogonalised as a matrix, with updates as large as AdamW's (arXiv 2502.16982); AdamW on the rest.

    The rest are biases, scales of norms and embedding tables.
    """

    kind: Literal["muon"] = "muon"  # pyright: ignore[reportIncompatibleVariableOverride]
    momentum: Beta = 0.95


class SGD(Config):
    """Stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    momentum: Beta = 0.0
    weight_decay: NonNegative = 0.0


class OptimizerConfig(Config):
    """Algorithm and learning rate, with a linear warm-up counted in samples."""

    learning_rate: Positive
    warmup_samples: NonNegativeInt = 0
    decay: Annotated[ConstantRate | CosineRate, Field(discriminator="kind")] = ConstantRate()
    algorithm: Annotated[AdamW | AdamW8bit | Muon | SGD, Field(discriminator="kind")] = AdamW()


class ClassicAverage(Config):
    """Moving average with decay `min(decay, (1 + n) / (10 + n))` after n steps (sgm's warm-up)."""

    kind: Literal["classic"] = "classic"
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999


class PowerAverage(Config):
    """Moving averages of power-function profile, one for each length (arXiv 2312.02696, section 3.1).

    A length is the profile's standard deviation as a share of the whole training. The first is validated and exported;
    from snapshots of two or more, averages of other lengths can be made after training.
    """

    kind: Literal["power"] = "power"
    lengths: Annotated[tuple[Length, ...], Field(min_length=1)] = (0.05, 0.1)
    snapshot_every_samples: PositiveInt = 16_384


class Replicated(Config):
    """All weights in every process, with gradients exchanged (DDP)."""

    kind: Literal["replicated"] = "replicated"


class Sharded(Config):
    """A part of weights, gradients and optimizer in every process; blocks are gathered when they run (FSDP2)."""

    kind: Literal["sharded"] = "sharded"
    offload: Literal["none", "cpu"] = "none"
    """Place where the parts wait: cpu leaves the GPU's memory to the blocks that run."""


class ExecutionConfig(Config):
    """Settings of memory and speed, which change results by rounding only, so a run may resume with others."""

    distributed: Annotated[Replicated | Sharded, Field(discriminator="kind")] = Replicated()
    recompute: Literal["none", "blocks"] = "none"
    """Activations that are computed again in the backward pass instead of kept (activation checkpointing)."""
    compile: Literal["auto", "none", "blocks"] = "auto"
    """Whether blocks are compiled; auto decides after the first steps whether what is left of the run is worth it."""


def check_optimizer(optimizer: OptimizerConfig, execution: ExecutionConfig) -> None:
    """Raise ValueError for an algorithm that cannot work on shards."""
    is_sharded = isinstance(execution.distributed, Sharded)
    if is_sharded and optimizer.algorithm.kind == "muon":
        raise ValueError("execution.distributed is sharded, muon needs whole matrices: it should be replicated")


TrackerName = Literal["wandb", "trackio"]


class TrainingConfig(Config):
    """One run of the loop; every length is counted in samples, so that it keeps its meaning at another batch size."""

    seed: int = 0
    num_samples: PositiveInt
    batch_size: PositiveInt
    accumulation_steps: PositiveInt = 1
    optimizer: OptimizerConfig
    gradient_clip: Positive = 1.0
    average: Annotated[ClassicAverage | PowerAverage, Field(discriminator="kind")] = ClassicAverage()
    precision: Literal["float32", "bfloat16"] = "float32"
    log_every_samples: PositiveInt = 1024
    validate_every_samples: PositiveInt = 16384
    checkpoint_every_samples: PositiveInt = 16384
    execution: ExecutionConfig = ExecutionConfig()
    trackers: tuple[TrackerName, ...] = ()
    """Services that the log is also sent to; packages of these names have to be installed."""

    @model_validator(mode="after")
    def _periods_fit(self) -> "TrainingConfig":
        if self.batch_size % self.accumulation_steps:
            raise ValueError(
                f"batch_size is {self.batch_size}, it should be a multiple of accumulation_steps, which is "
                f"{self.accumulation_steps}"
            )
        check_optimizer(self.optimizer, self.execution)
        # A log line is the mean since the line before it, which a run that resumes between two lines cannot know.
        if self.checkpoint_every_samples % self.log_every_samples:
            raise ValueError(
                f"checkpoint_every_samples is {self.checkpoint_every_samples}, it should be a multiple of "
                f"log_every_samples, which is {self.log_every_samples}: change either"
            )
        return self
