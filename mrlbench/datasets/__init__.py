"""Data sets: images or texts with what is relevant to what; one file each."""
