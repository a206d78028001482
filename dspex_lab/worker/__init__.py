"""What runs inside a worker kernel: the loop, dispatch, operations and language-model engines."""
