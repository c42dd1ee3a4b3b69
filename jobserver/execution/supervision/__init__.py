"""The server's side of child processes: starts them, and reads what they send."""
