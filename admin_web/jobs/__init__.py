"""Background work: asked for by a person, carried out by a worker, shown live on pages."""
