"""The operating system: disk, memory, processes, and messages between them."""
