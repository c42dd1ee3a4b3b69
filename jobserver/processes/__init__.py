"""What runs a script: function, file, eval, pipeline, map."""
