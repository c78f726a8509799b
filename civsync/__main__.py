"""`python -m civsync` is `civsync`."""

from civsync.cli.main import run

if __name__ == "__main__":
    run()
