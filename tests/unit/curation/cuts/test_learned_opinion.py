"""A network in a file confirms dissolves; a file that cannot do that is told as it is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import fault_videos
import numpy as np
import onnx_bytes
import pytest
from command_line import CommandLine
from curated import curate, rows
from fault_videos import write

from videoldm.core.errors import InputError
from videoldm.curation.choices import confirmed_by
from videoldm.curation.config import CurationConfig
from videoldm.curation.cuts.config import CutConfig, LearnedConfig
from videoldm.curation.cuts.learned import confirmed, pictures
from videoldm.curation.cuts.signals import CutSignals, SignalTable
from videoldm.curation.cuts.transition import FrameTransition

NUM_FRAMES = 160
BRIGHT = range(70, 80)


@pytest.fixture(scope="module")
def signals() -> SignalTable:
    """Black frames, but some are bright."""
    signals = CutSignals(CutConfig())
    for number in range(NUM_FRAMES):
        picture = np.full((54, 96, 3), 200 if number in BRIGHT else 0, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        signals.add(frame)
    return signals.finish()


def brightness(path: Path, *, gain: float = 1 / 255) -> LearnedConfig:
    """A network for which the probability is the brightness of a frame."""
    data = onnx_bytes.model(
        [
            onnx_bytes.node("Cast", ["frames"], ["levels"], to=1),
            onnx_bytes.node("ReduceMean", ["levels"], ["means"], axes=(2, 3, 4), keepdims=0),
            onnx_bytes.node("Mul", ["means", "gain"], ["probability"]),
        ],
        inputs={"frames": (1, 100, 27, 48, 3)},
        outputs={"probability": (1, 100)},
        constants={"gain": np.array([gain], np.float32)},
        levels=["frames"],
    )
    path.write_bytes(data)
    return LearnedConfig(model=str(path))


def transition(kind: str, first: int, end: int) -> FrameTransition:
    return FrameTransition(kind, first, end, 0.9)


def test_what_the_network_does_not_mark_is_left_out(tmp_path: Path, signals: SignalTable) -> None:
    config = brightness(tmp_path / "network.onnx")
    right = [transition("dissolve", 66, 71), transition("dissolve", 79, 90), transition("dissolve", 20, 140)]
    wrong = [transition("dissolve", 40, 60), transition("dissolve", 100, 159), transition("dissolve", 0, 5)]
    others = [
        transition("cut", 30, 30),
        transition("wipe", 40, 60),
        transition("fade_out", 92, 99),
        transition("flash", 10, 12),
    ]
    assert confirmed([*right, *wrong, *others], signals, config) == [*right, *others]
    sure = config.model_copy(update={"least": 0.9})
    assert confirmed([*right, *others], signals, sure) == others


def test_the_network_sees_the_frames(signals: SignalTable) -> None:
    colours = np.zeros((72, 128, 3), np.uint8)
    colours[:, :64], colours[:36, 64:] = (200, 60, 30), (20, 140, 90)
    one = CutSignals(CutConfig())
    frame = av.VideoFrame.from_ndarray(colours, format="rgb24").reformat(format="yuv444p")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    one.add(frame)
    [seen] = pictures(one.finish(), [0])
    wanted = cv2.resize(colours, (48, 27), interpolation=cv2.INTER_AREA)
    away_from_edges = np.s_[2:10, [4, 44]]
    assert np.abs(seen[away_from_edges].astype(int) - wanted[away_from_edges]).max() < 25
    assert pictures(signals, [0, 75]).mean(axis=(1, 2, 3)) == pytest.approx([0, 200], abs=3)


def test_a_file_that_does_not_fit_is_told(tmp_path: Path, signals: SignalTable) -> None:
    doubted = [transition("dissolve", 66, 81)]
    with pytest.raises(InputError, match=r"none\.onnx: does not exist, a detector"):
        confirmed(doubted, signals, LearnedConfig(model=str(tmp_path / "none.onnx")))
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match=r"text\.onnx: is not a model that onnxruntime .* can read"):
        confirmed(doubted, signals, LearnedConfig(model=str(tmp_path / "text.onnx")))
    with pytest.raises(InputError, match=r"levels\.onnx: gives 1\d\d(\.\d+)?, it should give probabilities"):
        confirmed(doubted, signals, brightness(tmp_path / "levels.onnx", gain=1))
    (tmp_path / "other.onnx").write_bytes(network((1, 3), (1, 3)))
    with pytest.raises(InputError, match=r"other\.onnx: takes float 1x3, a detector of transitions takes"):
        confirmed(doubted, signals, LearnedConfig(model=str(tmp_path / "other.onnx")))


def network(taken: tuple[int, ...], given: tuple[int, ...], *, levels: bool = False) -> bytes:
    """A network that does nothing useful."""
    nodes = [
        onnx_bytes.node("Cast", ["x"], ["levels"], to=1),
        onnx_bytes.node("ReduceMean", ["levels"], ["mean"], axes=tuple(range(len(taken))), keepdims=0),
        onnx_bytes.node("Mul", ["mean", "zeros"], ["y"]),
    ]
    return onnx_bytes.model(
        nodes,
        inputs={"x": taken},
        outputs={"y": given},
        constants={"zeros": np.zeros(given, np.float32)},
        levels=["x"] if levels else [],
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"no network", "is not a model that onnxruntime "),
        (network((1, 100, 3, 27, 48), (1, 100), levels=True), "takes uint8 1x100x3x27x48, a detector of transitions"),
        (network((1, 100, 27, 48, 3), (1, 100)), "takes float 1x100x27x48x3, a detector of transitions takes uint8"),
        (network((1, 100, 27, 48, 3), (100, 1), levels=True), "gives float32 100x1, a detector of transitions"),
        (None, "does not exist, it should be an ONNX file"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_anything_is_made(
    cli: CommandLine, tmp_path: Path, data: bytes | None, told: str
) -> None:
    write(tmp_path / "video.mp4", fault_videos.pictures(2))
    if data is not None:
        (tmp_path / "wrong.onnx").write_bytes(data)
    message = cli.refuses("curate", "run", "video.mp4", "-o", "dataset", "--cut-detector", "wrong.onnx")
    assert message.startswith(f"wrong.onnx: {told}"), message
    assert "ONNXRuntimeError" not in message


def test_a_run_ends_before_a_source_is_blamed(tmp_path: Path) -> None:
    write(tmp_path / "video.mp4", fault_videos.pictures(30))
    config = confirmed_by(CurationConfig(annotations=()), tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"none\.onnx: does not exist"):
        curate(tmp_path / "dataset", tmp_path / "video.mp4", config=config)
    dataset = curate(tmp_path / "dataset", tmp_path / "video.mp4", config=CurationConfig(annotations=()))
    assert [source["state"] for source in rows(dataset, "sources")] == ["whole"]


def test_the_option_keeps_other_settings() -> None:
    cuts = CutConfig(learned=LearnedConfig(model="old.onnx", least=0.3))
    config = confirmed_by(CurationConfig(cuts=cuts, annotations=()), Path("new.onnx"))
    assert config.cuts.learned == LearnedConfig(model="new.onnx", least=0.3)
    fresh = confirmed_by(CurationConfig(annotations=()), Path("new.onnx"))
    assert fresh.cuts.learned == LearnedConfig(model="new.onnx")
