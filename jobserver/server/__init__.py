"""One running server: its parts, HTTP, its end; and homes moved as archives."""
