"""The gate as a running service: processes, sockets and ports, and the backend over one Redis or a cluster."""
