"""The worker's loops: keep the projection current, run jobs, archive decisions, read call details, send webhooks.

Each loop repeats one step, which returns how many seconds to wait before the next. It may use every room below.
"""
