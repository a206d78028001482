"""Notebook panels: thin Python bridges to plain ES modules."""
