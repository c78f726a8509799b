"""The vocabulary: frozen values, safe names, the error tree, limits. No I/O of any kind."""
