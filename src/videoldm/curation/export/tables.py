"""What is known of each exported clip, one row a clip."""

import pyarrow as pa

EXPORTED = pa.schema(
    [
        ("clip_id", pa.string()),
        # Below the export's folder, of the file or of the shard it lies in; null if it could not be exported.
        ("file", pa.string()),
        # Why not.
        ("reason", pa.string()),
        ("source_id", pa.string()),
        ("path", pa.string()),
        # On the source's clock: what the file shows, and by how much that is less than the clip.
        ("start_pts", pa.int64()),
        ("end_pts", pa.int64()),
        ("time_base_num", pa.int64()),
        ("time_base_den", pa.int64()),
        ("lost_start_ticks", pa.int64()),
        ("lost_end_ticks", pa.int64()),
        ("num_frames", pa.int64()),
        # Whether packets were copied; else the frames were encoded again.
        ("is_copy", pa.bool_()),
        # Where the video's bytes lie in its shard.
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)
