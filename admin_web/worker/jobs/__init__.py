"""The work of each kind of job, and the runner that claims jobs and carries them out."""
