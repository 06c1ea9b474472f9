#!/bin/sh
# swscale loses the green channel where 4:2:0 of 10 bits becomes RGB of 16 bits with full chroma interpolation.
#
# Seen with PyAV 18.1.0 (FFmpeg 8.1.2, libswscale of its Linux wheels) and NumPy 2.4, 2026-11-30. A frame of one colour,
# red 200, green 120, blue 40, is converted from yuv420p10le with and without the flag full_chroma_int (levels over 257):
#   rgb24    without (198, 119, 39)   with (200, 120, 40)
#   rgb48le  without (199, 119, 39)   with (199, 0, 48)      expected: near (200, 120, 40)
#   gbrp16le without (199, 119, 39)   with (199, 119, 39)
# The same happens with bgr48le and rgba64le; not from yuv444p10le. Planes (gbrp16le) are a way around.
# The script ends with 1 if this has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import sys

import av
import numpy as np
from av.video.reformatter import Interpolation

picture = np.full((64, 64, 3), (200, 120, 40), np.uint8)
frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p10le")
found = {}
for name in ("rgb24", "rgb48le", "gbrp16le"):
    for flags in (Interpolation.BILINEAR, Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT):
        pixel = frame.reformat(format=name, interpolation=flags).to_ndarray()[32, 32].astype(int)
        found[name, bool(flags & Interpolation.FULL_CHR_H_INT)] = tuple((pixel // (1 if name == "rgb24" else 257)).tolist())
for (name, is_full), pixel in found.items():
    print(f"{name:9} full_chroma_int {is_full!s:5} {pixel}")
is_as_described = found["rgb48le", True][1] == 0 and abs(found["rgb48le", False][1] - 120) < 3
sys.exit(0 if is_as_described else "this has changed")
PYTHON
