"""The HTML site: routes, views, forms, templates, and the guard before every page.

A view parses, calls one service or query, and answers. Nothing here knows SQL or Redis.
"""
