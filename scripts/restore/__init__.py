"""The parts of the restore exercise: a shop on the sandbox, its customers, its database, what must be true after."""
