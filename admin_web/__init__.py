"""The system of record and its people: the site, the API, the commands and the worker over one SQL database.

At the root only composition: `app.py` wires the site, `settings.py` reads the environment. A room may import the rooms
below it and none above; `scripts/check` holds the order, which CONTRIBUTING.md shows.
"""
