"""The verbs of `videoldm curate`, one thin file each."""
