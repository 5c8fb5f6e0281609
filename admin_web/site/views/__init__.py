"""The views: one module per noun, named like its template folder. Each lists its routes with their permissions."""
