"""Known shot changes of whole real clips, beside what each detector finds there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from real_footage.detectors import all_findings

# Seen by eye, frame by frame.
KNOWN = {
    "bikes.mp4": "30, 76, 137, 187, 242",
    "cockatoo.mp4": "none",
    "flipping_a_pancake.mkv": "none",
    "bigbuckbunny.mp4": "none",
    "nasa_13013.mp4": "202; 127 to 152",
}


def table(folder: Path, transnet_python: Path | None) -> str:
    """One row of Markdown a clip, with first frames of cuts and spans of gradual transitions."""
    rows = list[dict[str, str]]()
    with tempfile.TemporaryDirectory() as links:
        for name, known in KNOWN.items():
            if (folder / name).exists():
                link = Path(links) / name
                link.symlink_to((folder / name).resolve())
                found = all_findings(link, transnet_python)
                rows.append({"clip": name, "true": known} | {key: str(value) for key, value in found.items()})
    if not rows:
        return f"{folder} holds none of {', '.join(KNOWN)}"
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row.values())} |" for row in rows)])
