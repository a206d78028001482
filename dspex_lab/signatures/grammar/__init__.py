"""From a signature's text to its fields, and back to text."""
