"""Nearest-neighbour indexes over unit vectors; one file each."""
