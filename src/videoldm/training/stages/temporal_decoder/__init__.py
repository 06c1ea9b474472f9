"""The stage of the temporal decoder."""
