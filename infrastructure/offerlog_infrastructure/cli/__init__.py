"""The command line: one module a family of commands; exit codes and print formats live only here."""
