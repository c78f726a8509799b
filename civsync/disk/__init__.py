"""The disk adapter: durable files, parts, trash, hashing, locks, all below one root."""
