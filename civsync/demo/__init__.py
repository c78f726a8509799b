"""A small Civitai on loopback: the demo shows civsync with it, the tests break it."""
