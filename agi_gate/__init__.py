"""The hot path: a FastAGI request in, a recorded verdict out. Never imports SQLAlchemy or the site."""
