"""The command line: flags, settings, text. No policy; it wires the rings together."""
