"""`videoldm train`: names, configurations, checks, and a run so small that it takes a moment."""

import math
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from command_line import CommandLine
from filelock import FileLock

from videoldm.checkpoints.layouts.native import load_autoencoder
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.random import generator
from videoldm.dataset.clips import ClipRecord, ClipShards, write_shard
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.recipes.registry import RECIPES
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.autoencoder import objective as autoencoder_stage
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.autoencoder.objective import AutoencoderObjective
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel

WORLD = WorldData(num_clips=64, num_frames=2, height=16, width=16)
TINY = Recipe(
    name="tiny",
    summary="an autoencoder of no use",
    stage=AutoencoderStage(
        model=AutoencoderConfig(channels=(4, 8), num_res_blocks=1, norm_groups=4, latent_channels=2),
        data=WORLD,
        validation=WORLD,
    ),
    training=TrainingConfig(
        num_samples=4,
        batch_size=2,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        log_every_samples=2,
        validate_every_samples=4,
        checkpoint_every_samples=2,
    ),
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that are noise: rendering some would take longer than all tests here."""
    path = tmp_path_factory.mktemp("clips") / "00000000.safetensors"
    frames = torch.randint(256, (64, 2, 16, 16, 3), dtype=torch.uint8, generator=generator(0, "frames"))
    record = ClipRecord(caption="noise", image_caption="noise", fps=Fraction(7), motion=0.1)
    write_shard(path, frames, [record] * len(frames))
    return path


@pytest.fixture
def noise_world(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoencoder_stage, "prepare_world", lambda data, cache: ClipShards([shard]))


def test_recipes_are_named_as_they_call_themselves() -> None:
    assert [function().name for function in RECIPES.values()] == list(RECIPES)


def test_list(cli: CommandLine) -> None:
    lines = cli.succeeds("train", "--list").splitlines()
    listed = [line.split() for line in lines if line.startswith("  ")]
    assert sorted(words[0] for words in listed) == sorted(RECIPES)
    assert {words[1] for words in listed if words[0].startswith("svd-")} == {"paper"}
    group = lines[lines.index("text-to-video") : lines.index("image-to-video")]
    assert any(line.split()[:2] == ["mini-video", "mini"] for line in group)


def test_recipes_of_published_size_have_mini_twins() -> None:
    """A twin has the same noise, what is trained, what is told; it starts where its twin starts."""
    for name in RECIPES:
        if name.startswith("mini-"):
            continue
        paper, mini = RECIPES[name]().stage, RECIPES[f"mini-{name}"]().stage
        if not isinstance(paper, DiffusionStage) or name == "finetune":  # of the model in the package
            continue
        for key in ("noise_levels", "noise", "trained", "weighting", "dropout"):
            assert getattr(paper, key) == getattr(mini, key), name
        assert paper.model.task == mini.model.task
        assert paper.model.sampling == mini.model.sampling
        assert paper.model.num_frames == mini.model.num_frames
        assert (paper.model.height, paper.model.width) == (8 * mini.model.height, 8 * mini.model.width)
        if isinstance(paper.start, FromModel) and paper.start.model.startswith("runs/"):
            assert mini.start.model == paper.start.model.replace("runs/", "runs/mini-")


def test_printed_configuration_is_a_recipe(cli: CommandLine) -> None:
    printed = cli.succeeds("train", "mini-image-to-video", "--print-config")
    assert from_yaml(Recipe, printed) == RECIPES["mini-image-to-video"]()
    changes = ["training.num_samples=96", "--stage.start.model=elsewhere", "stage.model.sampling.schedule.kind=ays"]
    changed = from_yaml(Recipe, cli.succeeds("train", "mini-video", *changes, "--print-config"))
    assert (changed.training.num_samples, changed.stage.start.model) == (96, "elsewhere")
    assert changed.stage.model.sampling.schedule.kind == "ays"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "a recipe is missing: give its name or a YAML file, videoldm train --list shows the recipes"),
        (("mini-vidoe",), "'mini-vidoe' is neither a recipe nor a YAML file, did you mean mini-video"),
        (("zzz",), "'zzz' is neither a recipe nor a YAML file, videoldm train --list shows the recipes"),
        (("none.yaml",), "none.yaml: cannot be read: No such file or directory"),
        (("folder.yaml",), "folder.yaml: is a folder, it should be a YAML file"),
        (("list.yaml",), "list.yaml: holds [1, 2], it should hold `key: value` lines"),
        (("binary.yaml",), "binary.yaml: is not text, it should be a YAML file"),
        (
            ("mini-video", "training.batchsize=3"),
            "mini-video: training.batchsize is not a known key, did you mean batch_",
        ),
        (("mini-video", "training.batch_size=x"), "mini-video: training.batch_size is 'x', should be a whole number"),
        (("mini-video", "training.batch_size=0"), "mini-video: training.batch_size is 0, should be greater than 0"),
        (("mini-video", "training.optimizer.learning_rate=.nan"), "mini-video: training.optimizer.learning_rate"),
        (("mini-video", "batch_size"), "mini-video: 'batch_size' should look like key.path=value"),
        (("mini-video", "--lr", "3"), "train: unknown option --lr, the options are --cache, --device, --dry-run, "),
        (("mini-video", "--print"), "train: unknown option --print, did you mean --print-config?"),
        (("mini-video",), "stage.autoencoder is 'runs/mini-autoencoder/export', there is no such folder: make it"),
        (("mini-autoencoder",), "stage.pictures is 'runs/pictures', there is no such folder: make it first"),
        (("mini-judge", "-o", "list.yaml"), "/list.yaml/config.yaml: cannot be written: a parent of it is a file"),
        (("mini-judge", "--cache", "list.yaml"), "/list.yaml/config.yaml: cannot be written: a parent of it is a file"),
    ],
)
def test_what_cannot_be_trained(cli: CommandLine, words: tuple[str, ...], line: str) -> None:
    Path("folder.yaml").mkdir()
    Path("list.yaml").write_text("[1, 2]")
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    message = cli.refuses("train", *words)
    assert line in message
    assert message.startswith(line) or line.startswith("/")


@pytest.mark.parametrize(
    ("recipe", "changes", "line"),
    [
        ("mini-image", ["stage.unet.channels=[]", "stage.unet.attention_levels=[]"], "stage.unet.channels is []"),
        ("mini-autoencoder", ["stage.model.channels=[]"], "stage.model.channels is []"),
        ("mini-video", ["stage.unet.temporal.kernel=2"], "stage.unet.temporal.kernel is 2, should be odd"),
        (
            "mini-video",
            ["stage.unet.concat_channels=32"],
            "unet.concat_channels is 32, text-to-video joins no latents of given frames: it should be 0",
        ),
        (
            "mini-image-to-video",
            ["stage.unet.concat_channels=0"],
            "unet.concat_channels is 0, image-to-video joins latents of given frames",
        ),
        ("mini-judge", ["stage.model.heads.size=[small, large]"], "model.heads has size: small, large, the labels"),
        ("mini-judge", ["stage.model.heads.motion=[left, still]"], "model.heads has motion: left, still, the labels"),
        ("mini-judge", ["stage.data.options.grounds.plain=.nan"], "stage.data.options.grounds.plain"),
        ("mini-judge", ["stage.data.options.grounds.plain=.inf"], "stage.data.options.grounds.plain"),
        ("mini-judge", ["stage.data.options.grounds.plain=-1"], "stage.data.options.grounds.plain"),
        (
            "mini-video",
            ["stage.panned_pictures={folder: x, num_clips: 64}"],
            "panned_pictures have no captions, which text-to-video needs: leave them out",
        ),
    ],
)
def test_values_that_no_stage_can_use(cli: CommandLine, recipe: str, changes: list[str], line: str) -> None:
    assert line in cli.refuses("train", recipe, *changes)


def test_dry_run_leaves_no_trace(cli: CommandLine) -> None:
    out = cli.succeeds("train", "mini-judge", "--dry-run")
    count = RECIPES["mini-judge"]().training.num_samples
    assert (
        out.splitlines()[1] == f"{count:,} samples in {count // 16:,} steps of 16 would be trained in runs/mini-judge"
    )
    assert out.splitlines()[2].split() == ["parameters", "trained", "frozen"]
    size = "clips of 14 frames of 64x64"
    assert out.splitlines()[-2:] == [
        f"stage.data: 4,096 {size}; 4,096 of them are rendered first, in runs/cache",
        f"stage.validation: 1,024 {size}; 1,024 of them are rendered first, in runs/cache",
    ]
    assert cli.content() == {}


def test_dry_run_forecasts_and_then_tells_what_is_missing(cli: CommandLine) -> None:
    outcome = cli("train", "mini-video-ldm", "--dry-run")
    assert outcome.code == 2
    assert "stage.start.model is 'runs/mini-video-ldm-frames/export', there is no such folder" in outcome.err
    lines = outcome.out.splitlines()
    assert lines[1].startswith("2,048 samples in 256 steps of 8 ")
    assert lines[2].split() == ["parameters", "trained", "frozen"]
    assert [line.split()[-2] for line in lines if line.startswith(("time embedding", "spatial "))] == ["0", "0", "0"]
    assert lines[-5].startswith("memory of a step on a GPU, forecast, GiB: weights 0.01, ")
    assert 0.01 < float(lines[-4].split()[2]) < 0.2
    assert cli.content() == {}


def test_run_resume_and_another_configuration(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    words = ["tiny.yaml"]
    assert cli.succeeds("train", *words).splitlines()[-1] == "runs/tiny/export"
    assert from_yaml(Recipe, Path("runs/tiny/config.yaml").read_text()) == TINY
    autoencoder = load_autoencoder(Path("runs/tiny/export"))
    assert autoencoder.config.channels == (4, 8)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in autoencoder.parameters())
    weights = Path("runs/tiny/export/model.safetensors").read_bytes()

    # The same command finds the run finished; its name may be another, its settings not.
    outcome = cli("train", *words, "summary=the same", "-o", "runs/tiny")
    assert (outcome.code, outcome.out) == (0, "runs/tiny/export\n")
    again = "runs/tiny: this run is finished; delete runs/tiny/export to have its weights written again"
    assert again in outcome.err.splitlines()
    dry = cli.succeeds("train", *words, "--dry-run").splitlines()
    assert dry == ["tiny: an autoencoder of no use", "runs/tiny: this run is finished, nothing would be trained"]
    shutil.rmtree("runs/tiny/export")
    assert again not in cli("train", *words).err
    assert Path("runs/tiny/export/model.safetensors").read_bytes() == weights
    line = cli.refuses("train", *words, "training.seed=1", "stage.data.height=8", "-o", "runs/tiny")
    assert line.startswith("runs/tiny: holds a run with other settings (stage.data.height, training.seed), it should")
    Path("runs/tiny/config.yaml").unlink()
    line = cli.refuses("train", *words)
    assert line == "runs/tiny: holds a run, but no config.yaml that says which recipe it is of"


def test_average_of_another_length(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    words = ["tiny.yaml", "training.average.kind=power", "training.average.snapshot_every_samples=2"]
    line = cli.refuses("train", *words, "--export-average", "0.1")
    assert line.startswith("runs/tiny: keeps no snapshots of averages")
    cli.succeeds("train", *words)
    assert cli.succeeds("train", *words, "--export-average", "0.1") == "runs/tiny/export-0.1\n"
    assert Path("runs/tiny/export-0.1/README.md").is_file()
    ours, other = (load_autoencoder(Path("runs/tiny", name)).state_dict() for name in ("export", "export-0.1"))
    assert ours.keys() == other.keys()
    assert any(not torch.equal(ours[name], other[name]) for name in ours)
    line = cli.refuses("train", *words, "--export-average", "0.5")
    assert line == "--export-average is 0.5, should be above 0 and at most 0.28"


def test_run_goes_on_in_another_way_of_computing(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    cli.succeeds("train", "tiny.yaml")
    shutil.rmtree("runs/tiny/export")
    cli.succeeds("train", "tiny.yaml", "training.execution.distributed.kind=sharded")
    assert Path("runs/tiny/export/model.safetensors").exists()


def test_run_that_never_began_does_not_keep_its_folder(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    Path("pictures").mkdir()
    wrong = ("stage.pictures=pictures", "stage.picture_fraction=0.5")
    outcome = cli("train", "tiny.yaml", *wrong)
    assert outcome.code == 2
    assert outcome.err.startswith("error: pictures: is a folder without pictures, it should hold some")
    cli.succeeds("train", "tiny.yaml")
    assert from_yaml(Recipe, Path("runs/tiny/config.yaml").read_text()) == TINY


def test_what_a_run_left_that_never_came_to_a_checkpoint_is_removed(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    left = [Path("runs/tiny", name) for name in ("averages/000000000099-0.safetensors", "diverged-000000000003.json")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of another run")
    cli.succeeds("train", "tiny.yaml")
    assert not any(path.exists() for path in left)


def test_two_runs_in_one_folder(cli: CommandLine, noise_world: None) -> None:
    Path("tiny.yaml").write_text(to_yaml(TINY))
    Path("runs/tiny").mkdir(parents=True)
    with FileLock("runs/tiny/lock"):
        line = cli.refuses("train", "tiny.yaml")
    assert line == "runs/tiny: another process trains there; wait for it, or give another folder with -o"
    cli.succeeds("train", "tiny.yaml")


def test_interrupted_run_ends_as_an_uninterrupted_one(
    cli: CommandLine, noise_world: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(TINY, Path("whole"), Path("cache"))
    Path("tiny.yaml").write_text(to_yaml(TINY))
    words = ["train", "tiny.yaml", "-o", "halves"]
    real = AutoencoderObjective.losses

    def interrupt(self: AutoencoderObjective, positions: range) -> object:
        if positions[0] >= 2:
            raise KeyboardInterrupt
        return real(self, positions)

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderObjective, "losses", interrupt)
        outcome = cli(*words)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "interrupted; the same command resumes from the last checkpoint\n"
    assert not Path("halves/export").exists()
    cli.succeeds(*words)
    whole, halves = (Path(name, "export", "model.safetensors").read_bytes() for name in ("whole", "halves"))
    assert whole == halves


def test_diverged_run(cli: CommandLine, noise_world: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = AutoencoderObjective.losses

    def diverge(self: AutoencoderObjective, positions: range) -> object:
        losses = real(self, positions)
        losses.per_sample.mul_(math.nan)
        return losses

    monkeypatch.setattr(AutoencoderObjective, "losses", diverge)
    Path("tiny.yaml").write_text(to_yaml(TINY))
    outcome = cli("train", "tiny.yaml")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        "training stopped: gradient norm is nan after 0 samples, the loss of sample 0 is not finite; the weights were "
        "not changed, the batch is listed in runs/tiny/diverged-000000000000.json\n"
    )
    assert not Path("runs/tiny/export").exists()
