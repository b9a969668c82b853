"""``python -m qnode``: the command line."""

from qnode.cli.main import app

if __name__ == "__main__":
    app()
