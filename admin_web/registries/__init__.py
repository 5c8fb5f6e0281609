"""Registries: lists that authorities publish, taken in as files of up to hundreds of millions of numbers."""
