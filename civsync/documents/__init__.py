"""Text to values and back: manifest, lock, receipt, layouts, JSON and YAML. No I/O."""
