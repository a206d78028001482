"""What runs after what: from steps to a checked plan, its picture and its fingerprint. Knows no run."""
