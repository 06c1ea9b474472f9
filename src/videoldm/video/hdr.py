"""Tone mapping of HDR frames (PQ and HLG, ITU-R BT.2100) to the SDR that models and annotators are made for.

FFmpeg's own filters are no help: zscale is in none of PyAV's wheels, `tonemap` needs its linear light, and swscale
clips what is brighter than white. So: decode the signal to light (BT.2100, tables 4 and 5; HLG at 1000 nits), put
white at 203 nits (BT.2408), convert the primaries to BT.709 (BT.2087), and encode with a gamma of 2.4. What lies above
a knee at 0.85 of the signal, measured at the brightest channel, is compressed by an extended Reinhard curve that takes
1000 nits to white, with all channels scaled alike so that hues stay. Below the knee nothing changes: an SDR video that
was put into an HDR container comes out as it was.
"""

from __future__ import annotations

import functools

import numpy as np
from av import VideoFrame
from jaxtyping import Float32, UInt8, UInt16

_PQ, _HLG = 16, 18
_DYNAMIC = {
    "HDR10+": ("DYNAMIC_HDR_PLUS",),
    "Dolby Vision": ("DOVI_RPU_BUFFER", "DOVI_METADATA"),
    "HDR Vivid": ("DYNAMIC_HDR_VIVID",),
}
_DISPLAY_P3 = 12
_WHITE_NITS, _PEAK_NITS = 203, 1000
_GAMMA, _KNEE = 2.4, 0.85
_NUM_LEVELS = 4096
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_P3_TO_709 = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]], np.float32)


def is_hdr(frame: VideoFrame) -> bool:
    """Whether the frame's levels are those of PQ or HLG."""
    return frame.color_trc in (_PQ, _HLG)


def tone_mapped(levels: UInt16[np.ndarray, "h w 3"], frame: VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Return RGB 0..255 of SDR for RGB levels 0..65535 of an HDR `frame`, by its own transfer and primaries."""
    is_pq = frame.color_trc == _PQ
    light = (_pq_light() if is_pq else _hlg_light())[levels >> 4]
    if not is_pq:
        luma = np.maximum(light @ _LUMA_2020, 1e-6)
        light *= (_PEAK_NITS / _WHITE_NITS * luma**0.2)[..., None]
    to_709 = _P3_TO_709 if frame.color_primaries == _DISPLAY_P3 else _2020_TO_709
    # Matrix products of small rows are slow in NumPy; a flat one is not.
    light = (light.reshape(-1, 3) @ to_709.T).reshape(light.shape)
    signal = np.clip(light, 0, _PEAK_NITS / _WHITE_NITS) ** np.float32(1 / _GAMMA)
    brightest = np.maximum(signal.max(axis=-1), 1e-6)
    return np.rint(255 * signal * (_compressed(brightest) / brightest)[..., None]).astype(np.uint8)


def mastering_options(frame: VideoFrame) -> list[str]:
    """Return the parameters of x264 that keep the frame's data on the display that it was mastered on (SMPTE ST 2086)
    and on its brightest pixels and frames (CTA-861.3); none if it has no such data.
    """
    options: list[str] = []
    mastering, light = (frame.side_data.get(name) for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))
    if mastering is not None:
        numbers = np.frombuffer(bytes(mastering), np.int32)
        has_primaries, has_luminance = numbers[20:22]
        if has_primaries and has_luminance:
            values = numbers[:20:2] / numbers[1:20:2]
            red, green, blue, white = (
                ",".join(map(str, np.rint(pair * 50_000).astype(int))) for pair in values[:8].reshape(4, 2)
            )
            darkest, brightest = np.rint(values[8:] * 10_000).astype(int)
            options.append(f"mastering-display=G({green})B({blue})R({red})WP({white})L({brightest},{darkest})")
    if light is not None:
        options.append("cll={},{}".format(*np.frombuffer(bytes(light), np.uint32)))
    return options


def dynamic_metadata(frame: VideoFrame) -> set[str]:
    """Return the kinds of a frame's metadata that say for this frame alone how to map it to a display."""
    return {name for name, kinds in _DYNAMIC.items() if any(frame.side_data.get(kind) is not None for kind in kinds)}


def _compressed(signal: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    peak = ((_PEAK_NITS / _WHITE_NITS) ** (1 / _GAMMA) - _KNEE) / (1 - _KNEE)
    above = np.maximum(signal - _KNEE, 0) / (1 - _KNEE)
    return np.minimum(signal, _KNEE) + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)


@functools.cache
def _pq_light() -> Float32[np.ndarray, " levels"]:
    """Return the light of each level of PQ, 1 for white."""
    root = (np.arange(_NUM_LEVELS) / (_NUM_LEVELS - 1)) ** (1 / 78.84375)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return (light * 10_000 / _WHITE_NITS).astype(np.float32)


@functools.cache
def _hlg_light() -> Float32[np.ndarray, " levels"]:
    """Return the light of the scene at each level of HLG, from 0 to 1."""
    level = np.arange(_NUM_LEVELS) / (_NUM_LEVELS - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12).astype(np.float32)
