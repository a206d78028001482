"""The Jupyter Server extension, for panels that need no kernel."""
