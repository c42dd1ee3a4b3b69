"""Files and JSON read as tables, and what is sure and what is asked about them."""
