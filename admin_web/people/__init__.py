"""Accounts, API tokens, sessions, sign-in and its throttle, second factors, and what each role may do."""
