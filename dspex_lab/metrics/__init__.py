"""Evaluation metrics on a pair of answers and on columns of them."""
