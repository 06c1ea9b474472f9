"""Models that ship with the package."""

from pathlib import Path


def shipped_models() -> dict[str, Path]:
    """Return the folders of the shipped models by name."""
    folders = sorted(path for path in Path(__file__).parent.iterdir() if (path / "autoencoder").is_dir())
    return {folder.name: folder for folder in folders}
