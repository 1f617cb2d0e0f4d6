"""Ranking metrics, one score per query; one file each."""
