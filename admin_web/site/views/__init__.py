"""The views: one module a noun, named like its templates. Each lists its routes with the permission that they need."""
