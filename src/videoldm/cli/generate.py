"""`videoldm generate`: clips from a picture, a folder of pictures, a sentence, or the settings of an earlier clip."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path

from videoldm.cli.generate_options import GenerateOptions
from videoldm.cli.make import Results, draw_contact_sheet, make_all
from videoldm.cli.options import Verb
from videoldm.cli.plan import Plan, plan_new, plan_repetition
from videoldm.cli.plan_items import plan_items
from videoldm.cli.plan_memory import Outlook
from videoldm.core.errors import SomeItemsFailed
from videoldm.core.progress import silent

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


def run(options: GenerateOptions) -> None:
    """Plan, generate, write and report. Raises SomeItemsFailed if some of several pictures failed."""
    started, results = time.monotonic(), Results()
    with silent() if options.json_ else nullcontext():
        plan = make_plan_of(options)
        try:
            make_all(plan, options, results)
            if options.contact_sheet is not None:
                draw_contact_sheet(Path(options.contact_sheet), results)
        finally:
            # Also after an interrupt: what is there is whole.
            if results.paths:
                report(results, plan.outlook, as_json=options.json_, seconds=time.monotonic() - started)
    if results.failures:
        raise SomeItemsFailed(results.failures, num_items=len(plan.items))


def make_plan_of(options: GenerateOptions) -> Plan:
    """What the options ask for: an earlier clip, a list of clips, or new ones."""
    if options.from_ is not None:
        return plan_repetition(options)
    return plan_new(options) if options.items is None else plan_items(options)


def report(results: Results, outlook: Outlook, *, as_json: bool, seconds: float) -> None:
    """Print where the clips lie, or everything as one JSON object."""
    if as_json:
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
    outlook.report(results.peaks)
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
"""What the scripts of Stability, ComfyUI, Replicate and NVIDIA call the same options; `fps_id` is not here, as it is
one less than the rate."""

VERB = Verb(
    name="generate",
    options=GenerateOptions,
    run=run,
    description=DESCRIPTION,
    positional=("image",),
    aliases=ALIASES,
)
