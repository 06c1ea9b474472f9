"""Make three clips with the model in the package: from a photograph, from a rendered scene and from a sentence."""

import time
from pathlib import Path

from videoldm.core.progress import progress
from videoldm.generation.choices import Choices
from videoldm.generation.clips import make_clips
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.generation.request import Request
from videoldm.synthetic.render import render_pixels
from videoldm.synthetic.scene import scene_from
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

HERE = Path(__file__).parent
OUT = Path("outputs/demo")
PROMPT = "an orange torus moves up over a striped ground"


def main(num_inference_steps: int | None = None) -> None:
    """Write three clips and print their paths; fewer steps than the model's default are faster and worse."""
    OUT.mkdir(parents=True, exist_ok=True)
    choices = Choices(seed=23, num_inference_steps=num_inference_steps)
    # A small model preserves an unknown subject, such as a cat, only while little moves.
    calm = choices.model_copy(update={"motion_bucket_id": "low"})
    from_image = load_model("mini", "image-to-video")
    from_text = load_model("mini", "text-to-video")
    jobs = {
        "photograph": (from_image, calm, ClipInputs(image=str(HERE / "cat.jpg"))),
        "scene": (from_image, choices, ClipInputs(image=str(held_out_scene()))),
        "sentence": (from_text, choices, ClipInputs(prompt=PROMPT)),
    }
    clips = {}
    for name, (model, chosen, inputs) in jobs.items():
        request = chosen.request(inputs, model.files.ref, model.config)
        start = time.monotonic()
        with progress(f"Generating {name}", request.sampling.num_inference_steps) as advance:
            [clips[name]] = make_clips(model, [request], on_step=lambda _: advance())
        clips[name].save(OUT / f"{name}.mp4")
        print(f"{OUT / name}.mp4  ({described(request)}; {time.monotonic() - start:.1f} s)")
    sheet = OUT / "contact_sheet.png"
    made = clips.values()
    contact_sheet([clip.pixels for clip in made], [described(clip.request) for clip in made]).save(sheet)
    print(sheet)


def held_out_scene() -> Path:
    """Write the first frame of a scene that training never saw, and return its path."""
    scene = scene_from(shape="torus", colour="green", motion="right", camera="static", seed=7)
    path = OUT / "scene.png"
    write_video(path, render_pixels([scene], num_frames=1)[0], 1)
    return path


def described(request: Request) -> str:
    """Return the prompt of a clip, or the name of its picture."""
    return request.prompt or f"from {Path(request.image or '').name}"


if __name__ == "__main__":
    main()
