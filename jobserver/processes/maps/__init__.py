"""Maps: one script for many items, on as many processes as there are slots."""
