"""What people do to the record: each service writes the row, the audit event and the outbox row in one transaction."""
