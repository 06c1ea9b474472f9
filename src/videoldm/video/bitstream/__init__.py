"""Parsers of video bitstreams, as far as needed to know at which packets decoding can begin."""
