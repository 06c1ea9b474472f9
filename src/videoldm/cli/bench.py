"""`videoldm bench`: how fast our networks run beside those of diffusers on this machine."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from pydantic import Field

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.progress import silent
from videoldm.core.wording import counted
from videoldm.evaluation.speed.presets import PresetName
from videoldm.inference.config import Precision
from videoldm.inference.device import find_device

if TYPE_CHECKING:
    import torch

    from videoldm.evaluation.speed.bench import BenchResult

DESCRIPTION = """Time our networks beside those of diffusers: same random weights and inputs, in turns, medians.

examples:
  videoldm bench step
  videoldm bench step --preset svd --num-frames 14 --height 256 --width 384 --dtype bfloat16 --compile
  videoldm bench decode --num-frames 4 --height 128 --width 192
  videoldm bench pipeline --preset small --height 128 --width 192 --rounds 3
"""
Measurement = Literal["step", "decode", "pipeline"]
FACTOR = 8


class BenchOptions(Config):
    """Network, size and number of rounds."""

    model_config = OPTIONS

    measurement: tyro.conf.Positional[Annotated[Measurement, tyro.conf.arg(metavar="step|decode|pipeline")]]
    """One call of the UNet, decoding one clip, or a whole clip from a picture to pixels."""
    preset: PresetName = "svd"
    """Whose sizes the networks have; small is SVD with a fifth of its channels."""
    num_frames: Annotated[int, Field(ge=1, le=1000)] = 14
    """Frames of the clip."""
    height: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 256
    """Height in pixels, a multiple of 64."""
    width: Annotated[int, Field(ge=64, le=4096, multiple_of=64)] = 384
    """Width in pixels, likewise."""
    dtype: Precision | None = None
    """Precision of all weights; without it, the fastest that the device has."""
    num_inference_steps: Annotated[int, Field(ge=1, le=1000)] = 2
    """Steps of a whole clip (pipeline only), each with both branches of guidance."""
    rounds: Annotated[int, Field(ge=1, le=1000)] = 7
    """How often each contender runs, in turns, after one call that does not count."""
    compile_: Annotated[bool, tyro.conf.arg(name="compile")] = False
    """Time our UNet compiled as well (not for decode); the first call takes minutes, later starts seconds."""
    device: str | None = None
    """cpu, cuda or cuda:NUMBER; without it, the GPU if there is one."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object and no progress."""


def run(options: BenchOptions) -> None:
    """Measure and print."""
    import torch

    from videoldm.evaluation.speed.bench import BenchSetting, bench_decode, bench_pipeline, bench_step
    from videoldm.evaluation.speed.presets import SIZES
    from videoldm.inference.precision import DTYPES, default_precision

    if options.compile_ and options.measurement == "decode":
        raise InputError("--compile has no effect on decode, leave it out")
    if options.measurement != "pipeline" and "num_inference_steps" in options.model_fields_set:
        raise InputError(f"--num-inference-steps has no effect on {options.measurement}, leave it out")
    device = find_device(options.device)
    dtype = options.dtype or default_precision(device)
    setting = BenchSetting(
        num_frames=options.num_frames,
        height=options.height // FACTOR,
        width=options.width // FACTOR,
        dtype=DTYPES[dtype],
        device=torch.device(device),
        rounds=options.rounds,
    )
    preset, steps = SIZES[options.preset], options.num_inference_steps
    with silent() if options.json_ else nullcontext():
        if options.measurement == "step":
            result = bench_step(preset, setting, is_compiled=options.compile_)
        elif options.measurement == "decode":
            result = bench_decode(preset, setting)
        else:
            result = bench_pipeline(preset, setting, num_steps=steps, is_compiled=options.compile_)
    size = f"{counted(options.num_frames, 'frame')} of {options.width}x{options.height}"
    if options.measurement == "pipeline":
        size = f"{size} in {steps} step{'s' if steps > 1 else ''}"
    title = f"{options.measurement} of {options.preset}, {size}, {dtype} on {device_name(device)}"
    if options.json_:
        print(json.dumps({"what": title, **as_json(result)}))
    else:
        show(title, result, DTYPES[dtype])


def as_json(result: BenchResult) -> dict[str, Any]:
    """The result as plain values."""
    return {
        "flops": result.flops,
        "matrix_multiply_flops_per_s": result.peak_rate,
        "largest_difference": result.largest_difference,
        "times": {
            name: {
                "first_s": times.first_s,
                "median_s": times.median_s,
                "rounds_s": times.rounds_s,
                "share_of_peak": result.rate(name) / result.peak_rate,
                "speed_up": result.speed_up(name),
            }
            for name, times in result.times.items()
        },
    }


def show(title: str, result: BenchResult, dtype: torch.dtype) -> None:
    """The result as a table."""
    import torch
    from rich.table import Table

    from videoldm.cli.tables import wide_console

    table = Table("", "median s", "spread", "first call s", "TFLOP/s", "of matmul peak", "times diffusers", title=title)
    for name, times in result.times.items():
        speed_up = result.speed_up(name)
        table.add_row(
            name,
            f"{times.median_s:.3f}",
            f"{times.spread:.0%}",
            f"{times.first_s:.1f}",
            f"{result.rate(name) / 1e12:.3f}",
            f"{result.rate(name) / result.peak_rate:.0%}",
            "" if speed_up is None else f"{speed_up:.2f}",
        )
    wide_console().print(table)
    print(f"one call is {result.flops / 1e12:.3g} TFLOP, matrix multiply peak {result.peak_rate / 1e12:.3f} TFLOP/s")
    if result.largest_difference is None:
        print("diffusers is not installed (pip install diffusers), so there is nothing to compare with")
    else:
        rounding = torch.finfo(dtype).eps
        print(
            f"largest difference from diffusers: {result.largest_difference:.1e} of the largest value "
            f"({str(dtype).removeprefix('torch.')} rounds each number to {rounding:.0e} of itself)"
        )


def device_name(device: str) -> str:
    """Name of the processor or GPU."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


VERB = Verb(name="bench", options=BenchOptions, run=run, description=DESCRIPTION, positional=("measurement",))
