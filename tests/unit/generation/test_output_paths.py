"""Where clips go."""

from pathlib import Path

import pytest

from videoldm.core.errors import InputError
from videoldm.core.reading import is_folder
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.output_paths import check_outputs, output_paths, slug, stems_of
from videoldm.video.picture_files import find_pictures

ONE, TWO = [["cat-23.mp4"]], [["cat-23.mp4", "cat-24.mp4"]]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A red cube, moving!", "a-red-cube-moving"),
        ("猫が走る", "猫が走る"),
        ("...", "clip"),
        ("../../etc/passwd", "etc-passwd"),
        ("word " * 40, "-".join(["word"] * 12)),
    ],
)
def test_slug(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_stems_are_different() -> None:
    def stems(*pictures: str) -> list[str]:
        return stems_of([ClipInputs(image=picture) for picture in pictures])

    assert stems("x/a.jpg", "x/a.png", "x/b.png") == ["a-jpg", "a-png", "b"]
    assert stems("a.jpg", "a.png", "a-jpg.webp") == ["a.jpg", "a.png", "a-jpg.webp"]
    assert stems_of([ClipInputs(prompt="A red cube")]) == ["a-red-cube"]


def test_without_output_clips_go_to_the_usual_folder() -> None:
    assert output_paths(None, TWO) == [[Path("outputs/cat-23.mp4"), Path("outputs/cat-24.mp4")]]


def test_one_clip_gets_the_very_name() -> None:
    for name in ("new/x.mp4", "x.gif", "frames"):
        assert output_paths(name, ONE) == [[Path(name)]]


def test_one_clip_goes_into_a_folder_that_is_there_or_named_as_one() -> None:
    Path("there").mkdir()
    Path("there/notes.txt").write_text("x")
    Path("empty.d").mkdir()
    for name in ("there", "empty.d", "new/"):
        assert output_paths(name, ONE) == [[Path(name) / "cat-23.mp4"]]


def test_frames_of_an_earlier_run_are_replaced() -> None:
    Path("frames").mkdir()
    Path("frames/frame_00000.png").write_text("x")
    assert output_paths("frames", ONE) == [[Path("frames")]]


def test_several_clips_need_a_folder() -> None:
    assert output_paths("new", TWO) == [[Path("new/cat-23.mp4"), Path("new/cat-24.mp4")]]
    assert output_paths("v1.5/", TWO)[0][0] == Path("v1.5/cat-23.mp4")
    with pytest.raises(InputError, match=r"x\.mp4: is the name of one file, several clips need the name of a folder"):
        output_paths("x.mp4", TWO)


def _check(name: str, *, num_frames: int = 3, output_fps: float = 7) -> None:
    check_outputs([Path(name)], inputs=[Path("cat.png")], num_frames=num_frames, output_fps=output_fps)


def test_places_that_work_are_left_as_they_were() -> None:
    for name in ("a.mp4", "new/deep/a.gif", "new/frames"):
        _check(name)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("x.avi", {}, "unknown extension '.avi', it should be one of .mp4"),
        ("x.png", {}, "a .png holds one frame, not 3"),
        ("x.gif", {"output_fps": 60}, "a .gif can have at most 50"),
        ("file/x.mp4", {}, "a parent of it is a file"),
        ("file", {}, "is a file, frames need the name of a folder"),
        ("./cat.png", {"num_frames": 1}, "is the input"),
        ("y" * 300 + ".mp4", {}, "the name is too long"),
        ("folder.mp4", {}, "is a folder, the output should be the name of a file"),
    ],
)
def test_places_that_do_not_work(name: str, change: dict[str, float], reason: str) -> None:
    Path("file").write_text("x")
    Path("cat.png").write_text("x")
    Path("folder.mp4").mkdir()
    with pytest.raises(InputError, match=reason):
        _check(name, **change)


def test_pictures_of_a_folder() -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.jpg", "c.heic"):
        Path(name).write_text("x")
    assert [path.name for path in find_pictures(".")] == ["a.jpg", "b.PNG", "c.heic"]


def test_folder_without_pictures() -> None:
    Path("notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"\.: is a folder without pictures"):
        find_pictures(".")


def test_a_name_that_no_file_can_have_is_no_folder() -> None:
    assert not is_folder("x" * 5000)
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        find_pictures("x" * 5000)
