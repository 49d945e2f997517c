"""SQLite with one writer and group commit (`database`), numbered migrations (`schema/`), and the aggregates."""
