"""The server's side of child processes: it starts them, and hears them."""
