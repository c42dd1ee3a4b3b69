"""Pages for people: everything that a browser loads comes from this package."""
