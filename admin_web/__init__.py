"""The system of record: the site, the API, the commands and the worker, over one SQL database.

The root has composition only: `app.py` builds the site, `settings.py` reads the environment. A package may import the
packages below it and none above it. CONTRIBUTING.md shows the order, and `scripts/check` enforces it.
"""

import os

# If the connection is closed while aiohttp sends a file by sendfile(2), asyncio never wakes the task up again, and the
# file stays open (selector_events.py, _force_close and sock_sendfile). aiohttp reads this variable when it is imported
# (web_fileresponse.py).
os.environ.setdefault("AIOHTTP_NOSENDFILE", "1")
