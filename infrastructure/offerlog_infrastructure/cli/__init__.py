"""The command line: one module for each family of commands, with the exit codes and print formats."""
