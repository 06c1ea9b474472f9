"""Tables of a curated dataset, as curation writes and training reads them.

Times are whole ticks of `time_base_num / time_base_den` seconds on the clock of the source's stream; a span begins with
the frame shown at `start_pts` and ends before `end_pts`. Columns with `_num` and `_den` are exact ratios.
"""

import pyarrow as pa

SPAN = (
    ("start_pts", pa.int64()),
    ("end_pts", pa.int64()),
    ("time_base_num", pa.int64()),
    ("time_base_den", pa.int64()),
)

LOOK = (
    # Size as shown, after rotation (clockwise, in degrees) and mirroring; how much wider than high a pixel of it is.
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("rotation", pa.int32()),
    ("is_mirrored", pa.bool_()),
    ("pixel_aspect_num", pa.int64()),
    ("pixel_aspect_den", pa.int64()),
    ("pixel_format", pa.string()),
    # Colour as the stream says; null if it does not.
    ("primaries", pa.string()),
    ("transfer", pa.string()),
)

SOURCES = pa.schema(
    [
        ("path", pa.string()),
        # Hash of the bytes; null if they could not be read.
        ("source_id", pa.string()),
        # One of `SOURCE_STATES`, and why it is not "whole".
        ("state", pa.string()),
        ("reason", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("container", pa.string()),
        ("codec", pa.string()),
        # Number of the video stream that was decoded, and what the others are.
        ("stream", pa.int32()),
        ("other_streams", pa.list_(pa.string())),
        # Look of the first frame, and of the first frame after each change.
        *LOOK,
        ("looks", pa.list_(pa.struct([("start_pts", pa.int64()), *LOOK]))),
        # "progressive", or as ffprobe says which field comes first; if the stream does not say, by the tags of the
        # frames in the sidecar: "progressive", or "unknown" if any is interlaced.
        ("field_order", pa.string()),
        # By the file's headers; clips have their own.
        ("frame_rate_num", pa.int64()),
        ("frame_rate_den", pa.int64()),
        # The last of `TIMES` that holds for any frame, and the spans of frames that are counted on.
        ("times", pa.string()),
        ("counted", pa.list_(pa.list_(pa.int64()))),
        # Span that was decoded.
        *SPAN,
        # Frames in it, all frames that the decoder gave, and the difference by reason.
        ("num_frames", pa.int64()),
        ("num_decoded", pa.int64()),
        ("left_out", pa.list_(pa.struct([("reason", pa.string()), ("num_frames", pa.int64())]))),
        ("num_audio_streams", pa.int32()),
        # Where something is broken: from the end of the last frame before to the first one after.
        ("gaps", pa.list_(pa.list_(pa.int64()))),
        # What a list of inputs says about it: captions, licence, origin.
        ("metadata", pa.map_(pa.string(), pa.string())),
    ]
)
SOURCE_STATES = ("whole", "damaged", "refused", "quarantined", "duplicate")
"""Decoded completely; in part; not a video; stopped by a limit or a crash; the same bytes as an earlier file."""

TIMES = ("stored", "restarted", "counted")
"""As the file has them; as it has them, moved where its clock starts again; counted on where they do not go forward.
Unless they are as stored, the file is read from its start, so that frames get the same times again."""

TRANSITIONS = pa.schema(
    [
        ("source_id", pa.string()),
        # One of `TRANSITION_KINDS`.
        ("kind", pa.string()),
        # Frames that it changes; for a cut, which changes none, both are the first frame of the new shot.
        *SPAN,
        # Frames of the span that are in no clip.
        ("num_frames", pa.int64()),
        # Confidence of the detector, from 0 to 1.
        ("score", pa.float32()),
    ]
)
TOO_SHORT, NO_FRAME_KEPT = "too_short", "no_frame_kept"
TRANSITION_KINDS = (
    "cut",
    "jump_cut",
    "fade_out",
    "fade_in",
    "dissolve",
    "wipe",
    "flash",
    "flicker",
    "damage",
    TOO_SHORT,
    NO_FRAME_KEPT,
)
"""The last two are spans between others that are no clips: too short, or of less than the time between two kept frames
and without any."""

CLIPS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("source_id", pa.string()),
        ("path", pa.string()),
        ("stream", pa.int32()),
        *SPAN,
        ("num_frames", pa.int64()),
        *LOOK,
        # Field order of the source if frames of the clip are interlaced ("unknown" if that is progressive), else
        # "progressive".
        ("field_order", pa.string()),
        # Median difference of neighbouring lines over that of lines two apart, of the kept frames: above 1 if woven.
        ("combing", pa.float32()),
        # Mean rate of its own frames.
        ("frame_rate_num", pa.int64()),
        ("frame_rate_den", pa.int64()),
        # One of `TIMES`, for its own frames; "restarted" also beside frames that are counted on.
        ("times", pa.string()),
        # Times of the kept frames nearest to the first, middle and last one.
        ("first_pts", pa.int64()),
        ("middle_pts", pa.int64()),
        ("last_pts", pa.int64()),
    ]
)

GREY_KINDS = ("small", "companion")
"""Kinds of smaller, grey frames: each half second, and soon after one where pictures change quickly."""

SIDECARS = pa.schema(
    [
        ("source_id", pa.string()),
        ("pts", pa.int64()),
        # In colour "sampled" each second, and "edge" on either side of a possible cut; or one of `GREY_KINDS`.
        ("kind", pa.string()),
        # Whether the frame is tagged so, and the measured combing.
        ("is_interlaced", pa.bool_()),
        ("combing", pa.float32()),
        # Upright, square pixels, small, SDR, deinterlaced.
        ("jpeg", pa.binary()),
    ]
)

NOT_MADE = "not made yet"
"""Reason for a clip that has no row in an annotation."""

ANNOTATION_KEY = (
    ("clip_id", pa.string()),
    # Why the values are null, if they are, and whether another run tries again.
    ("missing", pa.string()),
    ("may_come_later", pa.bool_()),
    # Which of the needed annotations had values, 1 or 0 for each; then a hash of the metadata, if it reads them.
    ("made_from", pa.string()),
)
"""Columns of every annotation."""


def annotation_schema(columns: pa.Schema) -> pa.Schema:
    """Return the schema of an annotation with these value columns."""
    return pa.schema([*ANNOTATION_KEY, *columns])
