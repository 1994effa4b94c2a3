"""``python -m app.cli`` is ``linecall`` where no script is installed."""

from app.cli import main

main()
