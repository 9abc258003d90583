"""Answers as they are sent: JSON with safe characters, pages by cursor, streamed lists."""
