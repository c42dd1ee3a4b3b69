"""The home, the folder of one server: its settings, template and secret key."""
