"""The worker's loops: keep the projection current, run jobs, archive decisions, read call details, send webhooks.

Each loop repeats one step, which returns how many seconds to wait before the next. This package may use all packages in
lower layers (CONTRIBUTING.md).
"""
