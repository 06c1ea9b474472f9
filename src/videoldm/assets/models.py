"""Where the shipped weights lie."""

from pathlib import Path


def shipped_models() -> dict[str, Path]:
    """The folders of the models in the package, by name."""
    folders = sorted(path for path in Path(__file__).parent.iterdir() if (path / "autoencoder").is_dir())
    return {folder.name: folder for folder in folders}
