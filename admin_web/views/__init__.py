"""Views: each parses, calls one service or reads one model, and renders or redirects."""
