"""Pure curation: numpy, scipy and scikit-learn only; no database, web, torch or clock."""
