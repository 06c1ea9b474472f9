"""From a heap of raw videos to a filtered, captioned dataset."""
