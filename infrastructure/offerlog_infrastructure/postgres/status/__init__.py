"""Figures about a store that operators watch, and the record of the last backup."""
