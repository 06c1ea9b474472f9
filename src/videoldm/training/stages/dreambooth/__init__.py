"""The stage of DreamBooth: a subject from a few pictures."""
