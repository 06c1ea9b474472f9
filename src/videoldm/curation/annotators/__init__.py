"""What can be told of a clip from its kept frames: one file an annotation."""
