"""Read-only queries behind the pages and the API, one module per page or list. Nothing here writes."""
