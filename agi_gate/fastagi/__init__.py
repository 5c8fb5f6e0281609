"""The PBX's side: the listener and its connections, the FastAGI protocol without I/O, and one session per call."""
