"""Atomic writes: they either finish or leave everything as it was. Locks on folders."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError, OutputError

LOCK_FILE = "lock"
_PARTIAL = re.compile(r"^\..*\.partial-(?P<host>[^.]*)-(?P<process>\d+)-[0-9a-f]{8}(\.[^.]*)?$", re.DOTALL)
_FULL_DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_UNUSABLE_PATH = {
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "no file can be created there",
    errno.ENOTDIR: "a parent of it is a file, it should be a folder",
    errno.EEXIST: "a parent of it is a file, it should be a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its symbolic links form a loop",
    errno.EFBIG: "the file is larger than allowed there",
}


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Generator[Path]:
    """Yield a temporary sibling of `path` to write to; it replaces `path` when the block ends without an error.

    The sibling has the same file extension; missing parent folders are created; a link is followed. On any error or
    interrupt nothing changes. Raises InputError if the path is not writable or the disk is full.
    """
    target = _resolve(path)
    _check_regular(target)
    with _new_parents(target):
        partial = _partial_path(target)
        try:
            with _explained(target, partial):
                yield partial
                if not partial.exists() and target.parent.exists():
                    raise RuntimeError(f"{partial}: the block should have written this file")
                partial.chmod(_usual_mode())  # some writers make files that only their owner can read
                _sync(partial)
                partial.replace(target)
                _sync(target.parent)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Generator[Path]:
    """Yield a temporary folder beside `path` to fill; it becomes `path` when the block ends without an error.

    Raises InputError if `path` is a non-empty folder, unless `replace` is set. Replacing takes two renames: a power cut
    between them leaves the old folder beside the path, under a hidden name.
    """
    target = _resolve(path)
    _check_replaceable(target, replace=replace)
    with _new_parents(target):
        partial = _partial_path(target)
        try:
            with _explained(target, partial):
                partial.mkdir()
                yield partial
                for folder, _, names in os.walk(partial):
                    for name in names:
                        _sync(Path(folder, name))
                    _sync(Path(folder))
                _check_replaceable(target, replace=replace)
                _swap(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def check_writable(path: str | Path) -> None:
    """Raise InputError if `path` could not be written as a file; leaves no trace. For use before long work."""
    target = _resolve(path)
    _check_regular(target)
    with contextlib.ExitStack() as parents:
        parents.enter_context(_new_parents(target, keep=False))
        partial = _partial_path(target)
        with _explained(target, partial):
            partial.touch()
            partial.unlink()


def remove_partials(folder: str | Path) -> list[Path]:
    """Remove partial files that killed processes of this machine left in `folder`; returns the removed paths."""
    removed: list[Path] = []
    for path in sorted(Path(folder).iterdir()):
        match = _PARTIAL.match(path.name)
        if match is None or match["host"] != _host() or _is_running(int(match["process"])):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        removed.append(path)
    return removed


@contextlib.contextmanager
def folder_lock(folder: Path, refusal: str) -> Generator[None]:
    """Hold the lock of `folder`, which is created if missing; a killed process leaves no lock behind.

    Raises InputError with the folder and the `refusal` if another process holds it.
    """
    from filelock import FileLock, Timeout  # loads asyncio, which most commands do not need

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: {refusal}") from None
    try:
        yield
    finally:
        lock.release()


def write_text(path: str | Path, text: str) -> None:
    """Atomically write `text` to `path` as UTF-8."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Atomically write `value` to `path` as indented JSON; raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _resolve(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path}: cannot be written: {_UNUSABLE_PATH[errno.ELOOP]}") from error
    except ValueError as error:
        raise OutputError(f"{str(path)!r}: cannot be written: {error}") from None


def _mode(target: Path) -> int | None:
    """Return the file mode of `target`, None if it does not exist."""
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {_why(error)}") from None


def _check_regular(target: Path) -> None:
    mode = _mode(target)
    if mode is not None and not stat.S_ISREG(mode):
        # Renaming over a device such as /dev/null would destroy it.
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise InputError(f"{target}: is {kind}, the output should be the name of a file")
    if mode is not None and not os.access(target, os.W_OK):
        raise InputError(f"{target}: is a read-only file, give another name")


def _check_replaceable(target: Path, *, replace: bool) -> None:
    mode = _mode(target)
    if mode is None:
        return
    if not stat.S_ISDIR(mode):
        raise InputError(f"{target}: is a file, the output should be the name of a folder")
    if not replace and any(target.iterdir()):
        raise InputError(f"{target}: exists and is not empty, give the name of a new folder")


def _swap(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
    else:
        old = _partial_path(target)
        target.rename(old)
        try:
            partial.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


@contextlib.contextmanager
def _new_parents(target: Path, *, keep: bool = True) -> Generator[None]:
    """Create the missing parent folders of `target`; remove them again on an error or unless `keep` is set."""
    missing = [folder for folder in reversed(target.parents) if _mode(folder) is None]
    is_done = False
    try:
        with _explained(target, target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        yield
        is_done = keep
    finally:
        if not is_done:
            with contextlib.suppress(OSError):
                for folder in reversed(missing):
                    folder.rmdir()


@contextlib.contextmanager
def _explained(target: Path, partial: Path) -> Generator[None]:
    """Turn a full disk or an unusable path into an OutputError that names `target`; other errors pass unchanged."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = _full_disk_reason(error)
        if reason is None and isinstance(error, OSError) and _concerns(error, partial):
            reason = _why(error)
        if reason is None:
            raise
        raise OutputError(f"{target}: cannot be written: {reason}") from error


def _full_disk_reason(error: Exception) -> str | None:
    number = getattr(error, "errno", None)
    if number in _FULL_DISK:
        return _FULL_DISK[number]
    # Writers in compiled code keep only the text: safetensors the system's, torch that of a file that has not grown.
    text = str(error).lower()
    is_full = "no space left on device" in text or ("inline_container" in text and "unexpected pos" in text)
    return _FULL_DISK[errno.ENOSPC] if is_full else None


def _concerns(error: OSError, partial: Path) -> bool:
    """Whether `error` concerns the file being written, not one that the block reads."""
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, os.PathLike))]
    return any(partial == place or partial in place.parents or place in partial.parents for place in map(Path, names))


def _why(error: OSError) -> str:
    return _UNUSABLE_PATH.get(error.errno or 0) or _FULL_DISK.get(error.errno or 0) or error.strerror or str(error)


def _partial_path(target: Path) -> Path:
    # Cut, so that a name of nearly the allowed 255 bytes still works.
    stem = target.stem.encode()[:150].decode(errors="ignore")
    suffix = target.suffix if len(target.suffix.encode()) <= 30 else ""
    return target.with_name(f".{stem}.partial-{_host()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}")


def _usual_mode() -> int:
    """Return the permissions that a new file gets."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname())[:30]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync(path: Path) -> None:
    """Flush `path`, a file or a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
