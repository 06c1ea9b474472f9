"""Names of files in a dataset's folder that more than one verb has to do with."""

AESTHETIC_HEAD = "aesthetic_head.safetensors"
