"""Which implementation a call takes, and what is done when it fails."""
