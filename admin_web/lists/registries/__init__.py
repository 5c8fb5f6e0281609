"""Files that the authorities of registries publish: their formats, and their import as versions."""
