"""Pages for people; browsers load everything from this package."""
