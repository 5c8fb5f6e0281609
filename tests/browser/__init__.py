"""Tests in a real Chromium. A package, so that Chromium ends with the last of them: while it runs, Playwright's event
loop is the one of this thread, and no asynchronous test can have its own.
"""
