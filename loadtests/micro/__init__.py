"""Microbenchmarks of single steps of a request."""
