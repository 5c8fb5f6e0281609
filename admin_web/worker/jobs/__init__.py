"""The work behind each kind of job, and the runner that claims a job and carries it to its end."""
