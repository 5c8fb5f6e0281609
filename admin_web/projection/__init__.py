"""The Redis copy of what the gate needs: changes applied, the whole rebuilt, compared with SQL, and kept current."""
