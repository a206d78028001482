"""What runs in the pool host: assignment, kernel lifecycle, zygote, health. Names the worker by string only."""
