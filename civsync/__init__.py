"""civsync: a package manager for AI model files."""

__version__ = "0.1.0"
