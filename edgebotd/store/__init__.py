"""SQLite with one writer and group commit (`database`), numbered migrations (`schema/`), one module of plain functions per aggregate."""
