"""The database: engine, transactions and tables. It knows nothing of the rest of Linecall."""
