"""The network: whole small answers by httpx, and the bytes of files by a plain reader."""
