"""Compiled inner loops that searches and index plug-ins share."""
