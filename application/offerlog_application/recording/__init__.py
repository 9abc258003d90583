"""Recording signals and offers: batches, commands, the group commit writer, deadlines."""
