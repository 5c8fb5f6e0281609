"""The wire to the PBX: connections, the FastAGI protocol without I/O, and one session per call."""
