"""Answers as typed models, and text that is safe to show."""
