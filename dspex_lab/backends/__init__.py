"""Where a call can run: one file each, behind one Protocol."""
