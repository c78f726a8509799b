"""Runs what was decided: drives the resolver, carries out plans, emits events. Never prints."""
