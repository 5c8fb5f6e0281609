"""The revisions. Sorted by file name, the oldest comes first."""
