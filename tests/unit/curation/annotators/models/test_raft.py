"""Motion by a network in an .onnx file: a real one, whose flow is a linear function of the two pictures' colours."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_bytes
import pytest

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame, Missing
from videoldm.curation.annotators.models.flow import Raft, RaftConfig
from videoldm.curation.annotators.motion import MotionAnnotator, MotionConfig

pytest.importorskip("onnxruntime")

ClipOf = Callable[..., ClipFrames]
HEIGHT, WIDTH = 240, 400
OPEN = ("height", "width")


def network(
    path: Path,
    *,
    constant: tuple[float, float] = (0, 0),
    of_colours: dict[tuple[int, int], float] | None = None,
    size: tuple[int | str, int | str] = OPEN,
) -> str:
    """A coarse flow and, as the last output, the flow: `constant`, and channels of the colours times their factors."""
    weights = np.zeros((2, 6, 1, 1), np.float32)
    for place, factor in (of_colours or {}).items():
        weights[place] = factor
    nodes = [
        onnx_bytes.node("Concat", ["0", "1"], ["both"], axis=1),
        onnx_bytes.node("Conv", ["both", "weights", "constant"], ["flow"], kernel_shape=(1, 1)),
        onnx_bytes.node("AveragePool", ["flow"], ["coarse"], kernel_shape=(8, 8), strides=(8, 8)),
    ]
    data = onnx_bytes.model(
        nodes,
        inputs={"0": (1, 3, *size), "1": (1, 3, *size)},
        outputs={"coarse": (1, 2, "coarse_height", "coarse_width"), "flow": (1, 2, *size)},
        constants={"weights": weights, "constant": np.array(constant)},
    )
    path.write_bytes(data)
    return str(path)


def annotated(clip: ClipFrames, config: RaftConfig) -> dict | Missing:
    (row,) = MotionAnnotator(MotionConfig(flow=config)).annotate([clip])
    return row if isinstance(row, Missing) else dict(row)


@pytest.mark.parametrize(("size", "scale"), [(OPEN, (256 / 240, 432 / 400)), ((120, 160), (120 / 240, 160 / 400))])
def test_a_flow_counts_in_pixels_of_the_network(
    tmp_path: Path, clip_of: ClipOf, texture: np.ndarray, size: tuple, scale: tuple[float, float]
) -> None:
    # What lies at p lies at p - (12, 6) in the next frame; a wrong flow would not be seen, and count as none.
    frames = [texture[20 + 6 * i : 20 + 6 * i + HEIGHT, 20 + 12 * i : 20 + 12 * i + WIDTH] for i in range(3)]
    path = network(tmp_path / "flow.onnx", constant=(-12 * scale[1], -6 * scale[0]), size=size)
    row = annotated(clip_of(frames), RaftConfig(model=path))
    assert row["pan_x"] == pytest.approx(12 / HEIGHT / 0.5, rel=0.01)
    assert row["pan_y"] == pytest.approx(6 / HEIGHT / 0.5, rel=0.01)
    assert row["residual"] < 0.02 * row["motion"]
    assert row["flow_shape"][0] == 2


@pytest.mark.parametrize("pixel_range", ["0..255", "-1..1"])
def test_the_network_sees_colours_in_order_and_in_its_range(tmp_path: Path, pixel_range: str) -> None:
    # x is the first picture's red, y the second one's blue.
    path = network(tmp_path / "flow.onnx", of_colours={(0, 0): 1, (1, 5): 1})
    flow = Raft(RaftConfig(model=path, pixel_range=pixel_range))
    first, second = (np.full((128, 160, 3), colour, np.uint8) for colour in ((200, 20, 30), (10, 20, 100)))
    expected = (200, 100) if pixel_range == "0..255" else (200 / 127.5 - 1, 100 / 127.5 - 1)
    found = flow.between(first, second)
    assert found.shape == (128, 160, 2)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-5)
    assert flow.picture(KeptFrame(0, True, first)) is first


def test_without_the_file_or_the_package_the_motion_is_missing(
    tmp_path: Path, clip_of: ClipOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of([np.zeros((64, 64, 3), np.uint8)] * 2)
    absent = annotated(clip, RaftConfig(model=f"{tmp_path}/no.onnx"))
    assert absent == Missing(f"{tmp_path}/no.onnx: is not a file, a network for flow should be an ONNX file", True)
    path = network(tmp_path / "flow.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert annotated(clip, RaftConfig(model=path)) == Missing(
        "onnxruntime is not installed, install videoldm[curate]", True
    )


def test_what_is_no_network_for_flow_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"is not a model that onnxruntime .* can read"):
        Raft(RaftConfig(model=f"{tmp_path}/bad.onnx"))
    one = onnx_bytes.model(
        [onnx_bytes.node("Relu", ["picture"], ["flow"])],
        inputs={"picture": (1, 3, *OPEN)},
        outputs={"flow": (1, 3, *OPEN)},
        constants={},
    )
    (tmp_path / "one.onnx").write_bytes(one)
    with pytest.raises(InputError, match=r"takes \[1, 3, 'height', 'width'\], .* two pictures"):
        Raft(RaftConfig(model=f"{tmp_path}/one.onnx"))
    two = onnx_bytes.model(
        [onnx_bytes.node("Add", ["0", "1"], ["sum"])],
        inputs={"0": (1, 3, *OPEN), "1": (1, 3, *OPEN)},
        outputs={"sum": (1, 3, *OPEN)},
        constants={},
    )
    (tmp_path / "two.onnx").write_bytes(two)
    black = np.zeros((128, 128, 3), np.uint8)
    with pytest.raises(InputError, match="its last output should be a flow, 1 2 128 128"):
        Raft(RaftConfig(model=f"{tmp_path}/two.onnx")).between(black, black)
