"""What to paste: a plan as the code, the SQL or the requests of a search engine."""
