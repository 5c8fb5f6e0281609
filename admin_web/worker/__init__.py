"""The loops of the worker: keep the projection, carry out jobs, archive decisions, read call details, send webhooks.

Each loop takes one step at a time and says how many seconds to wait. It may use every room below.
"""
