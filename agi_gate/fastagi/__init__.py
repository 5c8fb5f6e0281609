"""The wire to the PBX: the listener and its connections, the FastAGI protocol without I/O, one session per call."""
