"""What people do with a lake: notebooks, kept with their outputs. Which, and how: README.md."""
