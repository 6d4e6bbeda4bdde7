# The database: its schema, and the steps from one number to the next.
