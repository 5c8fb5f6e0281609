"""The PBX's call-detail records, read from the CSV file that `dialplan/cdr_custom.conf` describes, into SQL."""
