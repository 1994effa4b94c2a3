"""Rules and queries: plain functions, session first."""
