"""The options of `videoldm generate`."""

from typing import Annotated

import tyro
from pydantic import Field

from videoldm.cli.options import OPTIONS
from videoldm.inference.config import Precision
from videoldm.tasks.request import Choices, MotionBucket


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
    lora: Annotated[str | None, tyro.conf.arg(metavar="FILE[:WEIGHT],...")] = None
    """LoRAs to merge into the model, each as strong as its weight says; 1 without one."""
    dtype: Precision | None = None
    """Precision that the UNet computes in; for published models float16 on a GPU and bfloat16 on a CPU that has it."""
    compile_: Annotated[bool, tyro.conf.arg(name="compile")] = False
    """Compile the UNet, for many steps or clips of one size: the first step takes minutes, in later starts seconds."""
    contact_sheet: Annotated[str | None, tyro.conf.arg(metavar="PNG")] = None
    """Also draw frames of all clips into one picture."""
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object (files, seeds, settings, failures, seconds) and no progress; if nothing could be made, only
    the errors on stderr."""
