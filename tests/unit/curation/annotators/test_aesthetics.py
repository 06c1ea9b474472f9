"""Aesthetic heads: fitted ones against scipy and a known truth, LAION's layouts against torch, and scores of clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_annotator_models import made_clip
from torch import nn

from videoldm.core.errors import InputError
from videoldm.curation.annotators.aesthetics import Aesthetics, AestheticsConfig, pinned
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.models import aesthetic_head
from videoldm.curation.annotators.models.aesthetic_head import AestheticHead, fit_aesthetic_head, read_head, save_head

WIDTH = 16


def unit_frames(num: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(num, 3, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=2, keepdims=True)).astype(np.float32)


def row(frames: np.ndarray, model: str = "clip") -> dict[str, object]:
    return {"first": frames[0].tolist(), "middle": frames[1], "last": frames[2].astype(np.float16), "model": model}


def write_linear(path: Path) -> nn.Linear:
    layer = nn.Linear(WIDTH, 1)
    save_file(dict(layer.state_dict()), path)
    return layer


def test_a_fit_finds_the_truth() -> None:
    frames, truth = unit_frames(400), np.random.default_rng(1).normal(size=WIDTH)
    noise = 0.05 * np.random.default_rng(2).normal(size=400)
    fit = fit_aesthetic_head(frames, frames.mean(axis=1) @ truth + 5 + noise)
    np.testing.assert_allclose(fit.head.weights, truth, atol=0.06)
    assert fit.head.bias == pytest.approx(5, abs=0.02)
    assert fit.pearson > 0.98
    unseen = unit_frames(50, seed=3).mean(axis=1)
    assert scipy.stats.spearmanr(fit.head(unseen), unseen @ truth).statistic > 0.99


def test_ratings_without_reason_have_no_held_out_correlation() -> None:
    """The correlation on what was fitted would be high: 16 weights for 40 ratings."""
    ratings = np.random.default_rng(5).normal(size=40)
    fit = fit_aesthetic_head(unit_frames(40), ratings)
    assert abs(fit.pearson) < 0.35
    assert abs(fit.spearman) < 0.35


@pytest.mark.parametrize("num", [10, 100])
def test_ridge_is_that_of_augmented_least_squares(num: int) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(num, WIDTH)), random.normal(size=num)
    weights, bias = aesthetic_head._ridge(x, y, 0.7)
    centred = np.vstack([x - x.mean(axis=0), np.sqrt(0.7) * np.eye(WIDTH)])
    expected = np.linalg.lstsq(centred, np.append(y - y.mean(), np.zeros(WIDTH)), rcond=None)[0]
    np.testing.assert_allclose(weights, expected, atol=1e-10)
    assert bias == pytest.approx(y.mean() - x.mean(axis=0) @ expected)


def test_correlations_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=60), random.integers(0, 5, 60).astype(np.float64)
    assert aesthetic_head._correlation(a, b) == pytest.approx(scipy.stats.pearsonr(a, b).statistic)
    np.testing.assert_array_equal(aesthetic_head._ranks(b), scipy.stats.rankdata(b) - 1)


def test_bad_ratings_are_refused() -> None:
    frames = unit_frames(30)
    with pytest.raises(InputError, match="19 rated clips have embeddings, it should be at least 20"):
        fit_aesthetic_head(frames[:19], np.arange(19.0))
    with pytest.raises(InputError, match="all are 5, they should differ"):
        fit_aesthetic_head(frames, np.full(30, 5.0))
    with pytest.raises(InputError, match="not a finite number"):
        fit_aesthetic_head(frames, np.append(np.arange(29.0), np.nan))


def test_a_head_is_written_and_read(tmp_path: Path) -> None:
    frames = unit_frames(60)
    fit = fit_aesthetic_head(frames, frames[:, :, 0].mean(axis=1), clip_model="owner/clip")
    save_head(fit, tmp_path / "head.safetensors")
    head = read_head(tmp_path / "head.safetensors")
    np.testing.assert_array_equal(head.weights, fit.head.weights)
    assert head.bias == pytest.approx(fit.head.bias, rel=1e-6)
    assert head.clip_model == "owner/clip"
    with safe_open(tmp_path / "head.safetensors", framework="np") as file:
        assert file.metadata()["held_out_pearson"] == f"{fit.pearson:.4f}"


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_the_layouts_of_laion_are_read(tmp_path: Path, ending: str) -> None:
    small = nn.Linear(WIDTH, 1)
    hidden = [nn.Linear(WIDTH, 8), nn.Dropout(), nn.Linear(8, 6), nn.Dropout(), nn.Linear(6, 5), nn.Dropout()]
    layers = nn.Sequential(*hidden, nn.Linear(5, 4), nn.Linear(4, 1)).eval()
    large = nn.ModuleDict({"layers": layers})
    embeddings = unit_frames(10)[:, 0]
    for number, (module, expected) in enumerate(((small, small), (large, layers))):
        path = tmp_path / f"{number}.{ending}"
        if ending == "pth":
            torch.save(module.state_dict(), path)
        else:
            save_file(dict(module.state_dict()), path)
        with torch.no_grad():
            scores = expected(torch.from_numpy(embeddings))[:, 0].numpy()
        np.testing.assert_allclose(read_head(path)(embeddings), scores, atol=1e-6)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    with pytest.raises(InputError, match="does not exist, it should be an aesthetic head"):
        read_head(path)
    relu = {f"layers.{i}.{kind}": torch.ones(1) for i in (0, 3, 6, 9, 11) for kind in ("weight", "bias")}
    save_file(relu, path)
    with pytest.raises(InputError, match="should hold the weight and bias of a head"):
        read_head(path)
    save_file({"weight": torch.ones(2, WIDTH), "bias": torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"its weight is \(2, 16\), it should be \(1, width of the embeddings\)"):
        read_head(path)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        read_head(path)


def test_scores_of_clips(tmp_path: Path) -> None:
    layer = write_linear(tmp_path / "head.safetensors")
    frames = unit_frames(1)[0]
    clips = [made_clip(1, annotations={"embeddings": row(frames)}), made_clip(2), made_clip(3, annotations={})]
    nulls = {"first": None, "middle": None, "last": None, "model": None, "missing": "no frames"}
    clips[2] = made_clip(3, annotations={"embeddings": nulls})
    values, *others = Aesthetics(AestheticsConfig(head=str(tmp_path / "head.safetensors"))).annotate(clips)
    with torch.no_grad():
        expected = layer(torch.from_numpy(frames))[:, 0].numpy()
    np.testing.assert_allclose(values["frames"], expected, atol=1e-3)
    assert values["score"] == pytest.approx(np.mean(values["frames"]))
    assert others == [Missing("the clip has no embeddings", may_come_later=True)] * 2


def test_without_a_head_there_are_no_scores() -> None:
    (values,) = Aesthetics(AestheticsConfig()).annotate([made_clip(1)])
    assert values == Missing("no aesthetic head is given, `videoldm curate fit-aesthetic` fits one")


def test_heads_of_other_models_and_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    frames = unit_frames(30)
    save_head(fit_aesthetic_head(frames, np.arange(30.0), clip_model="one/clip"), path)
    config = pinned(AestheticsConfig(head=str(path)))
    clip = made_clip(1, annotations={"embeddings": row(frames[0], model="other/clip")})
    with pytest.raises(InputError, match="rates embeddings of one/clip, these are of other/clip"):
        Aesthetics(config).annotate([clip])
    write_linear(path)
    with pytest.raises(InputError, match="is another file than the one that the run began with"):
        Aesthetics(config).annotate([clip])
    assert pinned(config).identity() != config.identity()
    wide = made_clip(1, annotations={"embeddings": row(np.ones((3, 8), np.float32))})
    with pytest.raises(InputError, match="rates embeddings of 16 numbers, these have 8"):
        Aesthetics(AestheticsConfig(head=str(path))).annotate([wide])


def test_a_score_is_linear() -> None:
    head = AestheticHead(np.arange(WIDTH, dtype=np.float32), 2.0)
    assert head(np.eye(WIDTH, dtype=np.float32)).tolist() == [number + 2 for number in range(WIDTH)]
