"""Just enough of each video format's syntax to know at which packets decoding can begin."""
