"""Files of registries, as authorities publish them: their formats, and their import as versions."""
