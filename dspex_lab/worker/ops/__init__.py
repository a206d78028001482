"""The operations that a worker can run, one file for each subject."""
