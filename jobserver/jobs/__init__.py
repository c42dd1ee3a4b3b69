"""The job: its document, its life, its lists, and what is stored with it."""
