"""`python -m civsync` is `civsync`."""

from civsync.cli.start import run

if __name__ == "__main__":
    run()
