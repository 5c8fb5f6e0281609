"""The domain: what is true of a number, and what follows from it. No input or output happens here."""
