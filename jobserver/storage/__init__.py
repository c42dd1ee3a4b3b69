"""MongoDB: the connection, its indexes, the queries on it; and an embedded one."""
