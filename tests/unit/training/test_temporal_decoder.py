"""The temporal decoder's training: what starts equal, what moves, who plays against whom, and exact resume."""

import json

import pytest
import torch
from pydantic import ValidationError
from tiny_networks import numbers, relative_error
from tiny_temporal_decoder import START_SAMPLES, tiny_stage, tiny_training

from videoldm.checkpoints.layouts.native import load_autoencoder, save_component
from videoldm.core.errors import InputError
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.surgery import insert_temporal_layers, is_temporal
from videoldm.training.loop import train
from videoldm.training.stages.temporal_decoder.objective import TemporalDecoderObjective, start_autoencoder

pytestmark = pytest.mark.slow

EARLY, LATE = range(START_SAMPLES - 2, START_SAMPLES), range(START_SAMPLES, START_SAMPLES + 2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    tiny_stage(folder)
    return folder


@pytest.fixture
def objective(folder, cache):
    return TemporalDecoderObjective(tiny_stage(folder), seed=0, cache=cache)


def start(folder, **changes):
    stage = tiny_stage(folder, **changes)
    return start_autoencoder(load_autoencoder(folder / "autoencoder"), stage, seed=0)


def gradients(module):
    return {name for name, parameter in module.named_parameters() if parameter.grad is not None}


def test_step_0_is_the_per_frame_decoder(folder):
    latents = numbers(2, 3, 3, 4, 4)
    with torch.no_grad():
        expected = load_autoencoder(folder / "autoencoder").decode(latents)
        assert relative_error(start(folder).decode(latents), expected) < 1e-6


def test_only_what_the_stage_names_is_trained(folder):
    temporal = start(folder)
    assert {n for n, p in temporal.named_parameters() if p.requires_grad} == {
        n for n, _ in temporal.named_parameters() if is_temporal(n)
    }
    whole = start(folder, trained="decoder")
    assert {n.split(".")[0] for n, p in whole.named_parameters() if p.requires_grad} == {"decoder"}
    assert all(p.requires_grad for p in whole.decoder.parameters())


def test_each_player_has_gradients_for_itself_alone(objective):
    objective.decoder_losses(LATE).per_sample.sum().backward()
    decoder, discriminator = objective.autoencoder, objective.discriminator
    assert gradients(decoder) == {n for n, p in decoder.named_parameters() if p.requires_grad}
    assert gradients(discriminator) == set()
    decoder.zero_grad()
    objective.discriminator_losses(LATE).per_sample.sum().backward()
    assert gradients(decoder) == set()
    assert gradients(discriminator) == {n for n, _ in discriminator.named_parameters()}
    assert all(p.requires_grad for p in discriminator.parameters())


def test_adversary_begins_when_the_stage_says(objective):
    assert "adversarial" not in objective.decoder_losses(EARLY).parts
    assert objective.discriminator_losses(EARLY).per_sample.tolist() == [0.0, 0.0]
    across = [EARLY[-1], LATE[0]]
    early, late = objective.decoder_losses(across).parts["adversarial_factor"].tolist()
    assert early == 0 < late
    assert (
        objective.discriminator_losses(across).per_sample[0] == 0 < objective.discriminator_losses(across).per_sample[1]
    )


def test_a_clip_does_not_depend_on_its_batch(objective):
    together = objective.decoder_losses(range(4, 8))
    alone = [objective.decoder_losses([position]) for position in range(4, 8)]
    torch.testing.assert_close(together.per_sample, torch.cat([one.per_sample for one in alone]), rtol=1e-5, atol=1e-5)


def test_a_run_moves_what_it_trains_and_nothing_else(folder, cache, tmp_path):
    objective = TemporalDecoderObjective(tiny_stage(folder), seed=0, cache=cache)
    before = {n: p.detach().clone() for n, p in objective.autoencoder.named_parameters()}
    judges = {n: p.detach().clone() for n, p in objective.discriminator.named_parameters()}
    train(objective, tiny_training(), tmp_path)
    moved = {n for n, p in objective.autoencoder.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in before if is_temporal(n)}
    assert all(not torch.equal(p, judges[n]) for n, p in objective.discriminator.named_parameters())
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["samples"] for r in records if "adversarial" in r] == [6, 8, 10, 12]
    assert any("validation/psnr" in r for r in records)


def test_before_the_adversary_begins_it_stays_as_it_is(folder, cache, tmp_path):
    objective = TemporalDecoderObjective(tiny_stage(folder), seed=0, cache=cache)
    judges = {n: p.detach().clone() for n, p in objective.discriminator.named_parameters()}
    train(objective, tiny_training(num_samples=START_SAMPLES), tmp_path)
    assert all(torch.equal(p, judges[n]) for n, p in objective.discriminator.named_parameters())


class Stop(Exception):  # noqa: N818 - a signal of the tests
    """Stands for a crash of the process."""


def test_interrupted_run_equals_uninterrupted_one(folder, cache, tmp_path, monkeypatch):
    def run(name, crash_at=None):
        objective = TemporalDecoderObjective(tiny_stage(folder), seed=0, cache=cache)
        losses = objective.discriminator_losses

        def crashing(positions):
            if crash_at in positions:
                raise Stop
            return losses(positions)

        monkeypatch.setattr(objective, "discriminator_losses", crashing)
        train(objective, tiny_training(), tmp_path / name)
        return objective

    whole = run("whole")
    # In the middle of a step: the decoder has moved, the discriminator has not.
    for crash_at in (3, 8):
        with pytest.raises(Stop):
            run("broken", crash_at)
    resumed = run("broken")
    for ours, theirs in ((resumed.autoencoder, whole.autoencoder), (resumed.discriminator, whole.discriminator)):
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    exported = [load_autoencoder(tmp_path / name / "export").state_dict() for name in ("whole", "broken")]
    torch.testing.assert_close(*exported, rtol=0, atol=0)


def test_exported_decoder_gives_the_same_frames_for_any_chunk(folder, cache, tmp_path):
    objective = TemporalDecoderObjective(tiny_stage(folder), seed=0, cache=cache)
    train(objective, tiny_training(), tmp_path)
    exported = load_autoencoder(tmp_path / "export").requires_grad_(False)
    latents = numbers(1, 5, 3, 4, 4)
    whole = exported.decode(latents)
    frames = torch.cat([exported.decode(latents[:, i : i + 1]) for i in range(5)], dim=1)
    assert relative_error(whole, frames) > 1e-4
    for chunk_frames in (1, 2, 5):
        assert relative_error(decode(exported, latents, chunk_frames=chunk_frames), whole) < 1e-5


def test_clips_of_one_picture(folder, cache):
    nothing = {"kind": "none"}
    stage = tiny_stage(folder, num_frames=1, perceptual=nothing, consistency=nothing)
    objective = TemporalDecoderObjective(stage, seed=0, cache=cache)
    for losses in (objective.decoder_losses(LATE), objective.discriminator_losses(LATE)):
        losses.per_sample.sum().backward()
        assert losses.per_sample.isfinite().all()
    assert objective.autoencoder.decode(numbers(1, 1, 3, 4, 4)).shape == (1, 1, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 4}, "train clips have 3 frames, num_frames is 4"),
        ({"num_frames": 1}, "num_frames is 1, perceptual features compares frames"),
        ({"num_validation_clips": 65}, "num_validation_clips is 65, validation has 64 clips"),
    ],
)
def test_stages_that_cannot_be_are_refused(folder, changes, message):
    with pytest.raises(ValidationError, match=message):
        tiny_stage(folder, **changes)


def test_a_temporal_start_is_refused(folder, cache, tmp_path):
    temporal = insert_temporal_layers(load_autoencoder(folder / "autoencoder"))
    save_component(tmp_path / "temporal", temporal, temporal.config)
    with pytest.raises(InputError, match="its decoder should be a per-frame one"):
        TemporalDecoderObjective(tiny_stage(folder, autoencoder=str(tmp_path / "temporal")), seed=0, cache=cache)
