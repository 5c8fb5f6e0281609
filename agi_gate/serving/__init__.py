"""Processes, sockets and ports: the gate wired to its Redis (alone or a cluster), and served."""
