"""The model in the package: complete, small enough, and working by every way in."""

import runpy
from pathlib import Path

import pytest
import torch
from command_line import CommandLine

from videoldm.assets.models import shipped_models
from videoldm.core.config import from_yaml
from videoldm.generation.choices import Choices
from videoldm.generation.clips import generate
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.load import load_model
from videoldm.measures.feature_network import load_feature_network
from videoldm.recipes.ship import shipped_parts
from videoldm.synthetic.captions import labels
from videoldm.synthetic.render import render
from videoldm.synthetic.scene import sample_scene
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.recipe import Recipe
from videoldm.video.picture import load_picture
from videoldm.video.read import read_frames

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOGRAPH = EXAMPLES / "cat.jpg"


def test_weights_are_within_their_budget() -> None:
    sizes = [path.stat().st_size for path in shipped_models()["mini"].rglob("*.safetensors")]
    assert len(sizes) == 6
    assert max(sizes) < 12_000_000
    assert sum(sizes) < 25_000_000


def test_photograph_becomes_a_clip(cli: CommandLine) -> None:
    cli.succeeds("generate", PHOTOGRAPH, "-o", "clip.mp4", "--num-inference-steps", 2)
    frames = list(read_frames(cli.folder / "clip.mp4"))
    assert len(frames) == 14
    assert frames[0].pixels.shape == (64, 64, 3)


def test_demo_makes_three_clips_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(PHOTOGRAPH.with_name("demo.py")))["main"](num_inference_steps=1)
    made = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert [Path(name).name for name in made] == ["photograph.mp4", "scene.mp4", "sentence.mp4", "contact_sheet.png"]
    assert all((tmp_path / name).stat().st_size > 0 for name in made)


def test_batch_of_four_seeds_equals_four_single_clips() -> None:
    """Contract 4 on trained weights, per call of the denoiser's sampler step count 1."""
    model = load_model("mini", "text-to-video")
    requests = [
        Choices(seed=seed, num_inference_steps=1, guidance_scale=1.0).request(
            ClipInputs(prompt="a red cube moves to the left"), model.files.ref, model.config
        )
        for seed in (1, 2, 3, 4)
    ]
    together = generate(model, requests)
    alone = torch.cat([generate(model, [request]) for request in requests])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_pictures_to_train_on_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["collect_pictures.py", str(tmp_path / "new/pictures")])
    runpy.run_path(str(EXAMPLES / "collect_pictures.py"), run_name="__main__")
    pictures = list((tmp_path / "new/pictures").iterdir())
    assert len(pictures) == 12
    assert all(min(load_picture(path).shape[:2]) > 64 for path in pictures)


def test_judge_states_and_keeps_its_accuracy() -> None:
    """The stored accuracy is about that on scenes of the test split, which it was neither trained nor measured on."""
    judge = load_feature_network(shipped_models()["mini"] / "judge")
    scenes = [sample_scene(0, "test", index) for index in range(32)]
    seen = judge.judge(render(scenes).pixels)
    for head, classes in LABELS.items():
        right = sum(s[head] == classes[getattr(labels(scene), head)] for s, scene in zip(seen, scenes, strict=True))
        assert judge.accuracy[head].fraction == pytest.approx(right / 32, abs=0.1)
        assert f"{judge.accuracy[head].num_clips} rendered" in judge.measured_on


def test_recipe_beside_each_part_can_be_trained() -> None:
    recipes = sorted(shipped_models()["mini"].rglob("recipe.yaml"))
    assert {from_yaml(Recipe, path.read_text()).name for path in recipes} == {
        place.parts[0] for place in shipped_parts().values()
    }
