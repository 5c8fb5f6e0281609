"""Real engines (Redis, PostgreSQL, Asterisk, SIPp) started on loopback for the demo, the tests and the benchmarks."""
