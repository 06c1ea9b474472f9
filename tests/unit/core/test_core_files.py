"""Atomic writes: all or nothing, whatever happens in between."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from videoldm.core import files
from videoldm.core.errors import InputError, OutputError
from videoldm.core.files import (
    atomic_file,
    atomic_folder,
    check_writable,
    folder_lock,
    remove_partials,
    write_json,
    write_text,
)
from videoldm.core.reading import read_json


def _everything(folder: Path) -> dict[str, str | None]:
    paths = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_text() if p.is_file() else None for p in paths}


def _raise(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


# Files


def test_file_appears_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "clip.mp4"
    with atomic_file(target) as partial:
        assert partial.parent == target.parent
        assert partial.suffix == ".mp4"
        partial.write_text("video")
        assert not target.exists()
    assert _everything(tmp_path) == {"new": None, "new/clip.mp4": "video"}


def test_existing_file_is_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert _everything(tmp_path) == {"a.txt": "new"}


def test_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "atomic") as partial:
        partial.touch(mode=0o600)
    (tmp_path / "plain").write_text("x")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_error_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    write_text(tmp_path / "a.txt", "old")
    before = _everything(tmp_path)
    for target in ("a.txt", "new/deep/b.txt"):
        with pytest.raises(error), atomic_file(tmp_path / target) as partial:
            partial.write_text("half")
            raise error
    assert _everything(tmp_path) == before


def test_new_folders_with_other_content_stay(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "new" / "a.txt"):
        (tmp_path / "new" / "other.txt").write_text("of another process")
        raise ZeroDivisionError
    assert _everything(tmp_path) == {"new": None, "new/other.txt": "of another process"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("where", ["block", "fsync"])
def test_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, where: str) -> None:
    write_text(tmp_path / "a.txt", "old")
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", _raise(number))
    reason = "the disk is full" if number == errno.ENOSPC else "the disk quota is used up"
    with pytest.raises(OutputError) as caught, atomic_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        if where == "block":
            _raise(number)()
    assert str(caught.value) == f"{tmp_path / 'a.txt'}: cannot be written: {reason}"
    assert _everything(tmp_path) == {"a.txt": "old"}


def test_full_disk_of_torchs_writer_is_one_clear_line(tmp_path: Path) -> None:
    full = pytest.raises(OutputError, match=r"weights\.pt: cannot be written: the disk is full")
    with full, atomic_file(tmp_path / "weights.pt"):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")


def test_really_full_disk(tmp_path: Path) -> None:
    """/dev/full is a disk without space."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(InputError, match="disk is full"), atomic_file(tmp_path / "a"):
        Path("/dev/full").write_text("x")
    assert _everything(tmp_path) == {}


def test_full_disk_in_compiled_writers_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="disk is full"), atomic_file(tmp_path / "a"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.EROFS, "read-only", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=r"a: cannot be written: the file system is read-only$"):
        write_text(tmp_path / "a", "x")
    assert _everything(tmp_path) == {}


def test_unreadable_input_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_file(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "no permission", "/elsewhere/input.jpg")
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "a"):
        (tmp_path / "missing.jpg").read_bytes()


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for target, reason in {
        tmp_path: "is a folder, the output should be the name of a file",
        Path("/dev/null"): "is a device or pipe, the output should be the name of a file",
        tmp_path / "file" / "a.txt": "a parent of it is a file",
        tmp_path / ("x" * 300): "the name is too long",
        tmp_path / "loop": "its symbolic links form a loop",
        "a\0b": "null byte",
    }.items():
        for write in (check_writable, lambda path: write_text(path, "x")):
            with pytest.raises(InputError, match=reason):
                write(target)
    assert Path("/dev/null").is_char_device()


def _without_permissions(call: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run `call` as a user that permissions apply to, which root is not."""
    drop = "import os; os.getuid() or os.setuid(65534); " if os.getuid() == 0 else ""
    code = f"from videoldm.core.files import *; {drop}{call}({str(path)!r})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="permissions of another kind")
def test_folder_without_permission(tmp_path: Path) -> None:
    folder = Path("/proc/1") if os.getuid() else tmp_path
    done = _without_permissions("check_writable", folder / "new" / "a.txt")
    assert "OutputError" in done.stderr
    assert "no permission to write there" in done.stderr
    assert not (tmp_path / "new").exists()


def test_check_leaves_no_trace(tmp_path: Path) -> None:
    write_text(tmp_path / "old.txt", "old")
    check_writable(tmp_path / "old.txt")
    check_writable(tmp_path / "new" / "deep" / "a.txt")
    assert _everything(tmp_path) == {"old.txt": "old"}


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("name", ["x" * 255, "." + "x" * 254, "a." + "x" * 253, "\u00e9" * 127, "x" * 251 + ".mp4"])
def test_longest_names_work(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "x")
    assert _everything(tmp_path) == {name: "x"}


def test_block_that_writes_nothing_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="should have written"), atomic_file(tmp_path / "a"):
        pass


# Folders


def test_folder_appears_complete(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert _everything(tmp_path) == {"out": None, "out/inner": None, "out/inner/a": "1"}


def test_existing_folder_needs_replace(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "a").write_text("1")
    with pytest.raises(InputError, match="exists and is not empty"), atomic_folder(tmp_path / "out"):
        pytest.fail("the check comes first")
    with atomic_folder(tmp_path / "out", replace=True) as partial:
        (partial / "b").write_text("2")
    assert _everything(tmp_path) == {"out": None, "out/b": "2"}


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(InputError, match="is a file, the output should be the name of a folder"):
        atomic_folder(tmp_path / "out").__enter__()


def test_error_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "a").write_text("1")
    before = _everything(tmp_path)
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", replace=True) as partial:
        (partial / "b").write_text("2")
        raise ZeroDivisionError
    monkeypatch.setattr(os, "fsync", _raise(errno.ENOSPC))
    with pytest.raises(InputError, match="disk is full"), atomic_folder(tmp_path / "out", replace=True) as partial:
        (partial / "b").write_text("2")
    assert _everything(tmp_path) == before


def test_old_folder_returns_when_the_second_rename_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "a").write_text("1")
    before = _everything(tmp_path)
    rename = Path.rename

    def fail_once(self: Path, target: Path) -> Path:
        if (self / "b").exists():
            raise OSError(errno.EROFS, "read-only", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)
    with pytest.raises(InputError, match="read-only"), atomic_folder(tmp_path / "out", replace=True) as partial:
        (partial / "b").write_text("2")
    assert _everything(tmp_path) == before


# Kills

_SLOW_WRITER = """
import signal, sys, time
from videoldm.core.files import atomic_file, atomic_folder
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may have been started to ignore it
with atomic_folder(sys.argv[1] + "/out", replace=True) as folder, atomic_file(sys.argv[1] + "/a.txt") as partial:
    (folder / "new").write_text("half")
    with partial.open("w") as stream:
        stream.write("half")
        stream.flush()
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_killed_writer_leaves_the_old_content(tmp_path: Path, sent: signal.Signals) -> None:
    write_text(tmp_path / "a.txt", "old")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "b").write_text("old")
    before = _everything(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    assert remove_partials(tmp_path) == []  # the writer still lives
    process.send_signal(sent)
    process.wait()
    process.stdout.close()
    left = _everything(tmp_path)
    assert {name: left[name] for name in before} == before
    if sent == signal.SIGKILL:
        assert len(remove_partials(tmp_path)) == 2
    assert _everything(tmp_path) == before


def test_only_partials_of_this_machine_are_removed(tmp_path: Path) -> None:
    names = [".a.partial-elsewhere_1-999999999-0123abcd", ".hidden", "a.partial-x-1-0123abcd", ".a.partial.txt"]
    for name in names:
        (tmp_path / name).write_text("x")
    dead = f".a.partial-{files._host()}-999999999-0123abcd.mp4"
    (tmp_path / dead).write_text("x")
    assert [path.name for path in remove_partials(tmp_path)] == [dead]
    assert sorted(_everything(tmp_path)) == sorted(names)


# JSON


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "\u00e9"}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", float("nan"))
    assert read_json(tmp_path / "x.json") == 1


def test_bad_json_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"x\.json: is not valid JSON: "):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"y\.json: is not valid JSON: "):
        read_json(tmp_path / "y.json")
    with pytest.raises(InputError, match=r"z\.json: cannot be read: No such file"):
        read_json(tmp_path / "z.json")


HOLD = """
import sys, time
from pathlib import Path
from videoldm.core.files import folder_lock
with folder_lock(Path(sys.argv[1]), "is taken"):
    print("inside", flush=True)
    time.sleep(60)
"""


def test_another_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    process = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        with pytest.raises(InputError, match=rf"^{folder}: is taken$"), folder_lock(folder, "is taken"):
            pass
    finally:
        process.kill()
        process.wait()
    for _ in range(2):
        with folder_lock(folder, "is taken"):
            pass
