"""The folder of one server: its settings, its template, its key."""
