"""Import and export of files: sheets and their columns, imports, scrubs, reports, exports.

This package reads and writes files. Imports record their rows through `services`.
"""
