"""Clips made in less memory are the same clips."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_networks import numbers

from videoldm.core.errors import InputError
from videoldm.generation.memory_plan import clip_size, forecaster, plan_memory
from videoldm.inference.config import ALL_IN_MEMORY, Decoding, Measure, MemoryPlan
from videoldm.inference.memory import meter
from videoldm.inference.memory.forecast import Forecast, measures_on
from videoldm.inference.memory.meter import PeakMeter
from videoldm.pipelines.load import load_opened
from videoldm.pipelines.lora import parse_loras
from videoldm.pipelines.open import open_model
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs

pytestmark = pytest.mark.slow

MEASURES = measures_on("cpu")
INPUTS = Inputs(
    samples=[(7,), (8,)],
    pictures=numbers(2, 3, 64, 64).clamp(-1, 1),
    fps=[7, 7],
    motion_bucket=[127, 127],
    noise_level=[0.02, 0.02],
)


def made(folder: Path, *measures: Measure, decode_chunk_size: int | None = None) -> torch.Tensor:
    plan = MemoryPlan(measures=measures, decoding=Decoding(chunk_size=decode_chunk_size))
    model = load_opened(open_model(str(folder)), "image-to-video", memory=plan)
    sampling = model.config.sampling.model_copy(update={"num_inference_steps": 3})
    clips = [sample_clips(model, INPUTS, sampling=sampling, num_frames=3, height=64, width=64) for _ in range(2)]
    assert torch.equal(*clips)
    return clips[0]


@pytest.mark.parametrize("measure", ["idle-networks-leave", "unet-by-block"])
def test_where_networks_are_does_not_change_a_bit(pipeline_folder: Path, measure: Measure) -> None:
    assert torch.equal(made(pipeline_folder, measure), made(pipeline_folder))


def test_chunks_give_the_same_clip(pipeline_folder: Path) -> None:
    saving = made(pipeline_folder, "idle-networks-leave", "unet-by-block", decode_chunk_size=1)
    torch.testing.assert_close(saving, made(pipeline_folder), rtol=0, atol=2e-4)


def test_idle_networks_have_no_weights(pipeline_folder: Path) -> None:
    plan = MemoryPlan(measures=("idle-networks-leave",))
    model = load_opened(open_model(str(pipeline_folder)), "image-to-video", memory=plan)
    networks = [model.unet, model.autoencoder, model.image_conditioner.model]
    for network in networks:
        assert all(tensor.is_meta for tensor in network.state_dict().values())
        with model.at_work(network):
            working = [other for other in networks if not any(t.is_meta for t in other.state_dict().values())]
            assert working == [network]
    assert model.device == torch.device("cpu")


def test_what_cannot_be_made_is_refused_with_what_can(pipeline_folder: Path) -> None:
    files = open_model(str(pipeline_folder))
    sampling = files.config("image-to-video").sampling
    forecast = forecaster(files, "image-to-video", device="cpu", dtype=torch.float32)
    small = clip_size(4, 128, 192, sampling, has_picture=True)
    large = replace(small, num_frames=64)
    enough = max(forecast(small, ALL_IN_MEMORY).values())
    assert plan_memory(forecast, [small], ALL_IN_MEMORY, MEASURES, limit=enough) == ALL_IN_MEMORY
    tight = int(0.95 * enough)
    plan = plan_memory(forecast, [small], ALL_IN_MEMORY, MEASURES, limit=tight)
    assert plan.measures
    assert max(forecast(small, plan).values()) <= tight
    with pytest.raises(InputError, match=r"64 frames of 192x128 need at least .* what fits: (\d+) frames of") as error:
        plan_memory(forecast, [small, large], ALL_IN_MEMORY, MEASURES, limit=tight)
    fitting = int(str(error.value).partition("what fits: ")[2].split()[0])
    everything = MemoryPlan(measures=MEASURES)
    assert max(forecast(replace(large, num_frames=fitting), everything).values()) <= tight
    assert max(forecast(replace(large, num_frames=fitting + 1), everything).values()) > tight


def test_both_text_encoders_of_a_personalised_model_count(tiny_model: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(tiny_model, mine)
    clip = clip_size(3, 16, 16, open_model(str(mine)).config("text-to-video").sampling, has_picture=False)

    def forecast(measures: tuple[Measure, ...] = ()) -> Forecast:
        files = open_model(str(mine))
        planned = forecaster(files, "text-to-video", device="cpu", dtype=torch.float32)
        return planned(clip, MemoryPlan(measures=measures))

    before, alone_before = forecast(), forecast(("idle-networks-leave",))
    shutil.copytree(mine / "text_encoder", mine / "temporal_text_encoder")
    weights = sum(one.numel() for one in load_file(mine / "text_encoder/model.safetensors").values())
    assert {phase: peak - before[phase] for phase, peak in forecast().items()} == dict.fromkeys(before, 4 * weights)
    assert forecast(("idle-networks-leave",)) == alone_before


@pytest.mark.skipif(not meter.RESTART.exists(), reason="only Linux tells the resident set")
def test_the_meter_sees_what_a_phase_takes() -> None:
    seeing = PeakMeter("cpu")
    with seeing.watch("encode"):
        torch.ones(2**26)
    with seeing.watch("denoise"):
        pass
    with seeing.watch("encode"):
        torch.ones(2**20)
    assert seeing.peaks["encode"] == pytest.approx(2**28, rel=0.1)
    assert seeing.peaks["denoise"] < 2**26


def test_a_meter_that_may_not_ask_the_kernel_measures_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(meter, "RESTART", tmp_path)  # cannot be written, as it is a folder
    blind = PeakMeter("cpu")
    with blind.watch("encode"):
        pass
    assert blind.peaks == {}


def test_a_lora_is_merged_anew_for_every_clip(pipeline_folder: Path, tmp_path: Path) -> None:
    layer = "down_blocks.0.attentions.0.temporal_transformer_blocks.0.attn1.to_v"
    lora = {f"unet.{layer}.lora_A.weight": numbers(2, 32), f"unet.{layer}.lora_B.weight": numbers(32, 2)}
    save_file(lora, tmp_path / "lora.safetensors")
    files, loras = open_model(str(pipeline_folder)), parse_loras(f"{tmp_path}/lora.safetensors")
    clips: list[torch.Tensor] = []
    for measures in [(), ("idle-networks-leave",)]:
        model = load_opened(files, "image-to-video", loras=loras, memory=MemoryPlan(measures=measures))
        sampling = model.config.sampling.model_copy(update={"num_inference_steps": 2})
        clips += [sample_clips(model, INPUTS, sampling=sampling, num_frames=3, height=64, width=64) for _ in range(2)]
    assert all(torch.equal(clip, clips[0]) for clip in clips)
    assert not torch.equal(clips[0], made(pipeline_folder))
