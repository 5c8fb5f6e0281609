"""Tests in a real Chromium. They are a package, so that Chromium ends after the last of them: while it runs,
Playwright's event loop occupies this thread, and no asynchronous test can run.
"""
