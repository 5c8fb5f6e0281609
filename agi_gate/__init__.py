"""The gate: it answers each FastAGI request with a recorded verdict. It never imports SQLAlchemy or the site."""
