"""Start real engines (Redis, PostgreSQL, Asterisk, SIPp) on loopback, for the demo, the tests and the benchmarks."""
