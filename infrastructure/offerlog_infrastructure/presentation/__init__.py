"""Answers as people and programs see them: JSON documents and safe text."""
