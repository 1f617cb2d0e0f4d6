"""Heads and losses over the nested dims; one file each."""
