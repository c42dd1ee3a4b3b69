"""Read files and JSON as tables, inferring only what is certain."""
