"""Curation: from raw videos to a filtered, captioned dataset."""
