"""A running server: its parts, HTTP and shutdown; and archives of homes."""
