"""Values against their types: checked, as plain data and back, as a JSON schema."""
