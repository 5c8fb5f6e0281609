"""Who is it, and may they: sign-in, sessions, and the guard before every page."""
