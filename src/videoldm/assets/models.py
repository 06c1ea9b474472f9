"""Where the shipped weights lie."""

from pathlib import Path

from videoldm.core.errors import InputError


def model_folder(name: str) -> Path:
    """The folder of a shipped model, or `name` itself if that is a folder."""
    known = sorted(path.name for path in Path(__file__).parent.iterdir() if (path / "autoencoder").is_dir())
    if name in known:
        return Path(__file__).parent / name
    if Path(name).is_dir():
        return Path(name)
    raise InputError(f"model {name!r} is neither shipped ({', '.join(known) or 'none'}) nor a folder")
