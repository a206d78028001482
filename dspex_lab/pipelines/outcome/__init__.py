"""What a run comes to and what is kept of it: values. Knows neither how they came about nor where they are kept."""
