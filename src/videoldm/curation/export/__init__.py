"""Export of selected clips to files that others read; only here are bytes of clips written."""
