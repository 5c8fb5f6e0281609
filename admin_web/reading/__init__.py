"""Read models: what pages show, as frozen rows selected by column, one module a page."""
