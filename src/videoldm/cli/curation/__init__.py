"""Verbs of `videoldm curate`, one thin file each."""
