"""MongoDB: the connection, indexes, filters and stored content; and an embedded server."""
