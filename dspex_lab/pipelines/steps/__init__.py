"""What a user writes: steps and their vocabulary, before anything is planned."""
