"""The host's and the workers' processes: how they meet, start and end, their GPUs, their logs. Knows no calls."""
