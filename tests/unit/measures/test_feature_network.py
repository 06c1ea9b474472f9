"""The feature network: shapes, determinism, sizes, what it can learn, and how it is stored."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.config import FeatureNetworkConfig, HeadAccuracy
from videoldm.measures.feature_distances import perceptual_distance
from videoldm.measures.feature_network import FeatureNetwork, load_feature_network, save_feature_network
from videoldm.measures.temporal import consecutive_feature_distance

HEADS = {"colour": ("red", "blue"), "direction": ("left", "still", "right")}


def _network(*, frame_px: int = 32) -> FeatureNetwork:
    torch.manual_seed(0)
    config = FeatureNetworkConfig(heads=HEADS, frame_px=frame_px, widths=(16, 24), embedding_width=20)
    return FeatureNetwork(config).eval()


def _videos(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("num_frames", [2, 3, 9])
def test_shapes_for_any_number_of_frames(num_frames: int) -> None:
    features = _network()(_videos(2, num_frames, 3, 32, 32))
    assert features.embedding.shape == (2, 20)
    assert features.frame_embeddings.shape == (2, num_frames, 24)
    assert [tuple(values.shape) for values in features.maps] == [(2, num_frames, 16, 8, 8), (2, num_frames, 24, 4, 4)]
    assert {name: tuple(values.shape) for name, values in features.logits.items()} == {
        "colour": (2, 2),
        "direction": (2, 3),
    }


def test_the_default_size_is_small() -> None:
    network = FeatureNetwork(FeatureNetworkConfig(heads=HEADS))
    assert sum(parameter.numel() for parameter in network.parameters()) < 320_000
    assert network.config.embedding_width == 128


def test_a_video_is_judged_alike_alone_and_in_a_batch() -> None:
    network, videos = _network(), _videos(3, 4, 3, 32, 32)
    together = network(videos)
    for i in range(3):
        torch.testing.assert_close(network(videos[i : i + 1]).embedding[0], together.embedding[i], atol=1e-6, rtol=1e-5)


def test_other_sizes_are_resized_with_antialiasing() -> None:
    network, coarse = _network(), _videos(3, 3, 6, 6)
    video, larger = (F.interpolate(coarse, size=size, mode="bicubic")[None] for size in ((32, 32), (96, 64)))
    torch.testing.assert_close(network(larger).embedding, network(video).embedding, atol=0.02, rtol=0)
    # Two bright of every four columns, just those that bilinear interpolation would look at.
    stripes = torch.full((1, 2, 3, 128, 128), -1.0)
    stripes[..., 1::4] = stripes[..., 2::4] = 1.0
    grey, white = torch.zeros(1, 2, 3, 32, 32), torch.ones(1, 2, 3, 32, 32)
    to_grey = (network(stripes).embedding - network(grey).embedding).norm()
    assert to_grey < 0.1 * (network(stripes).embedding - network(white).embedding).norm()


def test_a_frame_is_seen_from_as_far_as_the_levels_reach_and_no_farther() -> None:
    """The stem reaches one frame to each side, and so does each of the two levels."""
    network, video = _network(), _videos(1, 9, 3, 32, 32)
    changed = video.clone()
    changed[:, 0] = -changed[:, 0]
    change = (network(changed).frame_embeddings - network(video).frame_embeddings)[0].abs().amax(dim=1)
    assert (change[:4] > 1e-4).all(), change
    assert (change[4:] < 1e-6).all(), change


def _moving_squares(num: int, *, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """A red or blue square that moves left, not at all, or right, by one pixel a frame."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.randint(2, (num,), generator=generator)
    direction = torch.randint(3, (num,), generator=generator)
    top = torch.randint(4, 16, (num,), generator=generator)
    left = torch.randint(8, 14, (num,), generator=generator)
    videos = torch.full((num, 5, 3, 32, 32), -0.2)
    for i in range(num):
        for t in range(5):
            x, y = int(left[i] + (direction[i] - 1) * t), int(top[i])
            videos[i, t, :, y : y + 10, x : x + 10] = -0.8
            videos[i, t, 2 * int(colour[i]), y : y + 10, x : x + 10] = 0.8
    return videos, {"colour": colour, "direction": direction}


def test_it_learns_colour_and_direction() -> None:
    """Direction is in no single frame, so this fails if the network does not look across time."""
    network = _network().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for step in range(60):
        videos, labels = _moving_squares(16, seed=step)
        logits = network(videos).logits
        loss = torch.stack([F.cross_entropy(logits[name], labels[name]) for name in labels]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    videos, labels = _moving_squares(48, seed=1000)
    judged = network.eval().judge(videos)
    for name, true in labels.items():
        right = sum(HEADS[name][int(index)] == row[name] for index, row in zip(true, judged, strict=True))
        assert right >= 46, (name, right)
    assert (
        network.judge(videos[:1].flip(1))[0]["direction"]
        == {"left": "right", "right": "left", "still": "still"}[judged[0]["direction"]]
    )


def test_maps_and_frame_embeddings_feed_the_distances() -> None:
    network, videos = _network(), _videos(2, 4, 3, 32, 32)
    features = network(videos)
    noisy = network(
        (videos + 0.05 * torch.randn(videos.shape, generator=torch.Generator().manual_seed(2))).clamp(-1, 1)
    )
    other = network(videos.flip(0))
    near = perceptual_distance(features.maps, noisy.maps)
    assert (perceptual_distance(features.maps, features.maps) == 0).all()
    assert ((near > 0) & (near < perceptual_distance(features.maps, other.maps))).all()
    still = network(videos[:, :1].expand(-1, 4, -1, -1, -1))
    jumping = consecutive_feature_distance(features.frame_embeddings)
    assert (consecutive_feature_distance(still.frame_embeddings) < 1e-5 * jumping).all()


def test_storing_keeps_outputs_class_names_and_accuracy(tmp_path: Path) -> None:
    network, videos = _network(), _videos(2, 3, 3, 32, 32)
    network.accuracy = {"colour": HeadAccuracy(num_correct=97, num_clips=100)}
    network.measured_on = "100 renders"
    save_feature_network(tmp_path / "net", network)
    loaded = load_feature_network(tmp_path / "net")
    assert torch.equal(loaded(videos).embedding, network(videos).embedding)
    assert loaded.config == network.config
    assert loaded.accuracy == network.accuracy
    assert loaded.accuracy["colour"].fraction == 0.97
    assert loaded.measured_on == "100 renders"
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    save_feature_network(tmp_path / "half", loaded, weights_dtype=torch.float16)
    torch.testing.assert_close(
        load_feature_network(tmp_path / "half")(videos).embedding, network(videos).embedding, atol=0.01, rtol=0.01
    )


def test_unreadable_stores_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        load_feature_network(tmp_path / "missing")
    save_feature_network(tmp_path, _network())
    card = json.loads((tmp_path / "config.json").read_text())
    card["network"]["widths"] = [16, 32]
    (tmp_path / "config.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="do not fit"):
        load_feature_network(tmp_path)
    card["network"]["colour_blind"] = True
    (tmp_path / "config.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="colour_blind"):
        load_feature_network(tmp_path)
    save_feature_network(tmp_path, _network())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        load_feature_network(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"heads": {}}, {"heads": {"colour": ("red", "red")}}, {"widths": (20,)}, {"frame_px": 40}, {"unknown": 1}],
)
def test_unusable_configs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FeatureNetworkConfig.model_validate({"heads": HEADS, **wrong})


def test_one_frame_is_too_few() -> None:
    with pytest.raises(InputError, match="at least 2 frames"):
        _network()(_videos(1, 1, 3, 32, 32))
