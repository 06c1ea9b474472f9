"""The options of `videoldm generate`."""

import re
from typing import Annotated

import tyro
from pydantic import AfterValidator, BeforeValidator, Field

from videoldm.cli.options import OPTIONS
from videoldm.inference.config import Precision, Tiles
from videoldm.tasks.cameras import Azimuths, Elevations
from videoldm.tasks.request import Choices, MotionBucket


def _gib(value: object) -> object:
    """A number from what may have a unit, None from auto."""
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
    """Tiles from SIZE or SIZE:OVERLAP; without an overlap it is a fourth of the size."""
    size, _, overlap = value.partition(":")
    if not (size.isdecimal() and (overlap or "0").isdecimal()):
        raise ValueError("should be a size in pixels such as 512, or size and overlap such as 512:128")
    return Tiles(size_px=int(size), overlap_px=int(overlap) if overlap else int(size) // 4)


_GIB = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:gib|gb|g)?")
Vram = Annotated[float | None, BeforeValidator(_gib)]


class GenerateOptions(Choices):
    """What to make, from what, and where to put it."""

    model_config = OPTIONS

    image: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="IMAGE|FOLDER")]] = None
    """A picture, or a folder: every picture in it, sorted by name."""
    prompt: str | None = None
    """A sentence that says what the clip shows, instead of a picture; a model that draws makes a picture of it."""
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
    """Of the camera above the object, for a model that is told it (sv3d_p): one number, or one a frame."""
    azimuths_deg: Annotated[Azimuths | None, tyro.conf.arg(metavar="DEGREES,...")] = None
    """Of the camera around the object, one a frame, of which the last shows the picture; without them a whole turn in
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
    allow_pickle: bool = False
    """Also read .ckpt, .bin and .pt files: their tensors only, no code in them runs."""
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
