"""Small videos in many formats whose clips are copied, and the slow way of looking at what came out."""

from dataclasses import dataclass, field
from fractions import Fraction

import av
from numbered_video import draw_number, encode
from scheduling import ordinary_scheduling

RATE = Fraction(24000, 1001)
NUM_FRAMES = 64


@dataclass(frozen=True)
class Made:
    """How a video is made, and how many places to begin the encoder was asked for."""

    name: str
    codec: str
    options: dict = field(default_factory=dict)
    num_access_points: int = 1
    pixel_format: str = "yuv420p"


X264 = "scenecut=0:b-adapt=0:keyint=16:min-keyint=16"
# With this odd distance, x265 makes leading pictures at its open groups.
X265 = "keyint=14:min-keyint=14:scenecut=0:bframes=4:log-level=none:pools=none:frame-threads=1"
SVT = {"preset": "12"}
VP9 = {"g": "16", "auto-alt-ref": "1", "lag-in-frames": "16", "crf": "20", "deadline": "realtime", "cpu-used": "8"}
MADE = (
    Made("closed.mp4", "libx264", {"x264-params": f"{X264}:bframes=3:b-pyramid=normal"}, 4),
    Made("closed.mkv", "libx264", {"x264-params": f"{X264}:bframes=3:b-pyramid=strict"}, 4),
    Made("closed.ts", "libx264", {"x264-params": f"{X264}:bframes=2"}, 4),
    Made("open.mp4", "libx264", {"x264-params": f"{X264}:bframes=3:open-gop=1"}, 1),
    Made("refresh.ts", "libx264", {"x264-params": f"{X264}:intra-refresh=1"}, 1),
    Made("chroma.mp4", "libx264", {"x264-params": f"{X264}:bframes=2"}, 4, "yuv422p10le"),
    Made("hevc_open.mp4", "libx265", {"x265-params": X265}, 5),
    Made("hevc_open.mkv", "libx265", {"x265-params": X265}, 5),
    Made("hevc_open.ts", "libx265", {"x265-params": X265}, 5),
    Made("hevc_closed.mp4", "libx265", {"x265-params": f"{X265}:open-gop=0"}, 5),
    Made("hevc_radl.mp4", "libx265", {"x265-params": f"{X265}:open-gop=0:radl=2"}, 5),
    Made("vp8.webm", "libvpx", {"g": "16", "b": "200k", "deadline": "realtime", "cpu-used": "8"}, 4),
    Made("vp9.webm", "libvpx-vp9", VP9, 4),
    Made("vp9.mp4", "libvpx-vp9", VP9, 4),
    Made("av1.mp4", "libsvtav1", {**SVT, "svtav1-params": "keyint=16:irefresh-type=2:lp=1"}, 4),
    Made("av1_open.mkv", "libsvtav1", {**SVT, "svtav1-params": "keyint=16:irefresh-type=1:lp=1"}, 1),
    Made("mpeg4.mp4", "mpeg4", {"g": "16", "bf": "2", "q": "3"}, 5),
    Made("mpeg2.ts", "mpeg2video", {"g": "16", "bf": "2", "q": "3"}, 5),
    Made("mpeg2_closed.mp4", "mpeg2video", {"g": "16", "bf": "2", "flags": "+cgop", "sc_threshold": "1000000000"}, 4),
    Made("mjpeg.mp4", "mjpeg", {"q": "2"}, NUM_FRAMES, "yuvj420p"),
    Made("ffv1.mkv", "ffv1", {"g": "10", "level": "3"}, 7),
    Made("prores.mov", "prores_ks", {}, NUM_FRAMES, "yuv422p10le"),
)


@ordinary_scheduling()
def make(folder, made):
    """The video, of `NUM_FRAMES` frames that show their number, in `folder`."""
    pictures = [draw_number(number) for number in range(NUM_FRAMES)]
    return encode(
        folder / made.name, pictures, range(NUM_FRAMES), time_base=1 / RATE, rate=RATE, codec=made.codec,
        pixel_format=made.pixel_format, options=made.options,
    )  # fmt: skip


def decode_all(path):
    """Every frame that PyAV shows of a file, decoded from its start: pairs of exact seconds and samples."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = []
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert stream.time_base
            found.append((frame.pts * stream.time_base, frame.to_ndarray()))
        return found
