"""`videoldm generate`: clips from a picture, a folder of pictures, a sentence, or the settings of an earlier clip."""

from __future__ import annotations

import json
import re
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import AfterValidator, BeforeValidator, Field

from videoldm.cli.options import OPTIONS, PickleOption, Verb, option_name, trust_in_pickles
from videoldm.core.errors import InputError, SomeItemsFailed
from videoldm.core.progress import silent
from videoldm.diffusion.config import PredictionType
from videoldm.generation.batch import Results, make_all
from videoldm.generation.choices import Choices
from videoldm.generation.inputs import FILE_FIELDS, ClipInputs
from videoldm.generation.items import plan_list
from videoldm.generation.memory_plan import MemoryOutlook
from videoldm.generation.plan import Plan, Runtime, Targets, plan_new, plan_repetition
from videoldm.generation.request import Azimuths, Elevations, MotionBucket
from videoldm.inference.config import Decoding, Precision, Tiles
from videoldm.pipelines.reference import ModelRef

DESCRIPTION = """Make clips from a picture, from every picture of a folder, or from a sentence.

examples:
  videoldm generate photo.jpg -o clip.mp4
  videoldm generate photos/ -o clips/ --motion-bucket-id low
  videoldm generate --prompt "a red cube moves to the left" --num-videos-per-prompt 4
  videoldm generate --items clips.csv -o clips/
  videoldm generate object.png --model sv3d_p.safetensors --elevations-deg 20 -o turn.mp4
  videoldm generate --from clip.mp4 -o again.mp4

An option whose default is None is left to the model, unless it says otherwise. The names that the scripts of Stability,
ComfyUI, Replicate and NVIDIA use for the same options, such as --steps or --cond-aug, work as well.
"""
BESIDE_FROM = frozenset(
    {"from_", "model", "output", "device", "vram", "json_", "contact_sheet", *PickleOption.model_fields, *FILE_FIELDS}
)
"""Options that may be given when the settings come from an earlier clip."""
NOT_BESIDE_ITEMS = (*ClipInputs.model_fields, "from_", "num_videos_per_prompt")
"""Options that mean nothing beside a list."""
_GIB = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:gib|gb|g)?")


def _gib(value: object) -> object:
    """Return a number from what may have a unit, None from auto."""
    if not isinstance(value, str):
        return value
    number = _GIB.fullmatch(value.strip().lower())
    if number is not None and float(number[1]) > 0:
        return float(number[1])
    if value == "auto":
        return None
    raise ValueError("should be auto or a number of GiB such as 8")


def _optional_tiles(value: str | None) -> str | None:
    if value is not None:
        tiles_of(value)
    return value


def tiles_of(value: str) -> Tiles:
    """Return tiles from SIZE or SIZE:OVERLAP; without an overlap it is a fourth of the size."""
    size, _, overlap = value.partition(":")
    if not (size.isdecimal() and (overlap or "0").isdecimal()):
        raise ValueError("should be a size in pixels such as 512, or size and overlap such as 512:128")
    return Tiles(size_px=int(size), overlap_px=int(overlap) if overlap else int(size) // 4)


Vram = Annotated[float | None, BeforeValidator(_gib)]


class GenerateOptions(PickleOption, Choices, ClipInputs):
    """Inputs, choices and outputs of a generation."""

    model_config = OPTIONS

    image: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="IMAGE|FOLDER")]] = None
    """A picture, or a folder: every picture in it, sorted by name."""
    model: str = "mini"
    """A model that is in the package, a folder (ours or a pipeline of diffusers), a file such as svd_xt.safetensors, or
    a name on the hub."""
    variant: str | None = None
    """Which of several precisions in a pipeline's folder to read, such as fp16."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """Name of the clip: .mp4, .mkv (lossless), .gif, .webp, .png for one frame, no ending for a folder of PNG frames.
    For several clips, the folder to put them in. Without it, outputs/NAME-SEED.mp4, or .png for a picture."""
    motion_bucket_id: Annotated[MotionBucket | None, tyro.conf.arg(metavar="low|medium|high|NUMBER")] = None
    """How much should move; numbers are usually up to 255."""
    elevations_deg: Annotated[Elevations | None, tyro.conf.arg(metavar="DEGREES[,...]")] = None
    """Degrees of the camera above the object, for a model conditioned on it (sv3d_p): one number, or one a frame."""
    azimuths_deg: Annotated[Azimuths | None, tyro.conf.arg(metavar="DEGREES,...")] = None
    """Degrees of the camera around the object, one a frame; the last frame shows the picture; without them a turn in
    equal steps."""
    num_videos_per_prompt: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many clips of each picture or prompt; they take seed, seed + 1 and so on."""
    items: Annotated[str | None, tyro.conf.arg(metavar="FILE.csv|.jsonl")] = None
    """A list with one clip a line: image or prompt, and any of seed, fps, motion_bucket_id, noise_aug_strength, output
    and the other options of a clip, by these names."""
    from_: Annotated[str | None, tyro.conf.arg(name="from", metavar="CLIP")] = None
    """A clip, or the .json beside it, to make again with exactly its settings."""
    device: str | None = None
    """cpu, cuda, cuda:1 and so on; the first GPU if there is one."""
    unet: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Another UNet for a published model, such as a distilled one (with --num-inference-steps 4 --guidance-scale 1)."""
    tokenizer: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The tokenizer of a model that reads text and lies in a single file; without it the folder tokenizer beside the
    file, or that of Stable Diffusion 2.1 on the hub."""
    prediction_type: PredictionType | None = None
    """What a single file of Stable Diffusion 2.1 predicts: epsilon (noise) or v_prediction. Without it, a name as
    published decides, or else one call of the network with pure noise."""
    lora: Annotated[str | None, tyro.conf.arg(metavar="FILE[:WEIGHT],...")] = None
    """LoRAs to merge into the model, each as strong as its weight says; 1 without one."""
    dtype: Precision | None = None
    """Precision that the UNet computes in; for published models float16 on a GPU and bfloat16 on a CPU that has it."""
    compile_: Annotated[bool, tyro.conf.arg(name="compile")] = False
    """Compile the UNet, for many steps or clips of one size: the first step takes minutes, in later starts seconds."""
    vram: Annotated[Vram, tyro.conf.arg(metavar="auto|8|12|24|GIB")] = None
    """Memory of the GPU that may be used (on a CPU, of the machine), in GiB; auto is what is free. Measures that change
    nothing but the time are taken until the clip fits; docs/memory.md has them."""
    decode_chunk_size: Annotated[int | None, Field(ge=1)] = None
    """Frames that are decoded at a time: fewer need less memory, the clip is the same."""
    decode_tiles: Annotated[str | None, AfterValidator(_optional_tiles), tyro.conf.arg(metavar="SIZE[:OVERLAP]")] = None
    """Decode in overlapping tiles of so many pixels, in the memory of one of them. Not exact: colours may shift
    between them."""
    contact_sheet: Annotated[str | None, tyro.conf.arg(metavar="PNG")] = None
    """Also draw frames of all clips into one picture."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object (files, seeds, settings, failures, seconds) and no progress; if nothing could be made, only
    the errors on stderr."""


def run(options: GenerateOptions) -> None:
    """Plan, generate, write and report. Raises SomeItemsFailed if some of several pictures failed."""
    started, results = time.monotonic(), Results(keeps_frames=options.contact_sheet is not None)
    with silent() if options.json_ else nullcontext():
        with trust_in_pickles(options):
            plan = make_plan(options)
        try:
            make_all(plan, results)
            if options.contact_sheet is not None:
                results.draw_contact_sheet(Path(options.contact_sheet))
        finally:
            # Also after an interrupt: what is there is whole.
            if results.paths:
                report(results, plan.outlook, options, seconds=time.monotonic() - started)
    if results.failures:
        raise SomeItemsFailed(results.failures, num_items=plan.num_clips)


def make_plan(options: GenerateOptions) -> Plan:
    """Plan what the options ask for: an earlier clip, a list of clips, or new ones."""
    runtime = Runtime(
        device=options.device,
        dtype=options.dtype,
        vram_gib=options.vram,
        is_compiled=options.compile_,
        decoding=Decoding(
            chunk_size=options.decode_chunk_size,
            tiles=None if options.decode_tiles is None else tiles_of(options.decode_tiles),
        ),
    )
    targets = Targets(output=options.output, contact_sheet=options.contact_sheet)
    if options.from_ is not None:
        others = sorted(options.model_fields_set - BESIDE_FROM)
        if others:
            raise InputError(f"{option_name(others[0])} cannot be given beside --from, which repeats a clip exactly")
        given = options.inputs_by_name()
        model = options.model if "model" in options.model_fields_set else None
        return plan_repetition(options.from_, runtime, targets, moved=ClipInputs(**given), model=model)
    model = ModelRef(
        name=options.model,
        variant=options.variant,
        unet=options.unet,
        tokenizer=options.tokenizer,
        prediction_type=options.prediction_type,
    )
    if options.items is not None:
        idle = [name for name in NOT_BESIDE_ITEMS if name in options.model_fields_set]
        if idle:
            raise InputError(f"--items lists all clips, leave out {option_name(idle[0])}")
        return plan_list(options.items, model, options, runtime, targets, loras=options.lora)
    return plan_new(
        model,
        ClipInputs(**options.inputs_by_name()),
        options,
        runtime,
        targets,
        loras=options.lora,
        num_clips=options.num_videos_per_prompt,
    )


def report(results: Results, outlook: MemoryOutlook, options: GenerateOptions, *, seconds: float) -> None:
    """Print where the clips lie, or everything as one JSON object."""
    if options.json_:
        summary = {
            "files": [str(path) for path in results.paths],
            "seeds": [request.seed for request in results.requests],
            "settings": results.settings,
            "failures": dict(results.failures),
            "seconds": round(seconds, 3),
            "memory": {
                "forecast_bytes": dict(outlook.forecast),
                "measured_bytes": dict(results.peaks),
            },
        }
        print(json.dumps(summary))
        return
    for path, request in zip(results.paths, results.requests, strict=True):
        frames = "1 frame" if request.num_frames == 1 else f"{request.num_frames} frames"
        size = f"{request.width}x{request.height} at {request.output_fps:g} fps"
        print(f"{path}  ({frames} of {size}, seed {request.seed})")
    outlook.report(results.peaks, is_asked_for="vram" in options.model_fields_set)
    print(f"{len(results.paths)} clip{'s' if len(results.paths) > 1 else ''} in {seconds:.1f} s")


ALIASES = {
    "--input": "--image",
    "--input-image": "--image",
    "--input-path": "--image",
    "--init-image": "--image",
    "--video-frames": "--num-frames",
    "--video-length": "--num-frames",
    "--steps": "--num-inference-steps",
    "--num-steps": "--num-inference-steps",
    "--denoising-steps": "--num-inference-steps",
    "--frames-per-second": "--fps",
    "--motion-bucket": "--motion-bucket-id",
    "--cond-aug": "--noise-aug-strength",
    "--augmentation-level": "--noise-aug-strength",
    "--elevation-deg": "--elevations-deg",
    "--cfg": "--guidance-scale",
    "--min-cfg": "--min-guidance-scale",
    "--min-scale": "--min-guidance-scale",
    "--max-scale": "--max-guidance-scale",
}
"""Names of the same options in the scripts of Stability, ComfyUI, Replicate and NVIDIA; without `fps_id`, which is
one less than the rate."""

VERB = Verb(
    name="generate",
    options=GenerateOptions,
    run=run,
    description=DESCRIPTION,
    positional=("image",),
    aliases=ALIASES,
)
