"""The system of record: the site, the API, the commands and the worker, over one SQL database.

The root has composition only: `app.py` builds the site, `settings.py` reads the environment. A package may import the
packages below it and none above it. CONTRIBUTING.md shows the order, and `scripts/check` enforces it.
"""
