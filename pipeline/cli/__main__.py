"""``python -m pipeline.cli``: the same as ``crosspane``."""

from pipeline.cli import main

main()
