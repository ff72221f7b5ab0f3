"""HTTP/2 of clients: every stream is a client of its own that speaks HTTP/1.1 to the rest of the data path."""
