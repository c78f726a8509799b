"""Where models come from: adapters behind the Source port. They choose nothing."""
