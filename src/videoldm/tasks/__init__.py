"""Tasks, one file each: needs, conditioning shared by training and sampling, outputs."""
