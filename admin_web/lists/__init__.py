"""Files of lists, in and out: sheets and their columns, imports, scrubs, reports, exports.

Reads and writes files; what an import records goes through `services`.
"""
