"""The HTML site: routes, views, forms, templates, and the guard before every page.

A view parses, calls one service or query, and answers. No module of this package uses SQL or Redis directly.
"""
