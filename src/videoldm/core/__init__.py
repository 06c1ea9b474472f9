"""Foundation that every other package may use: errors, files, configuration, random streams, progress."""
