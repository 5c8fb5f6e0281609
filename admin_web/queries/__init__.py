"""Reads: what pages and the API show. One module a page or a list; nothing here writes."""
