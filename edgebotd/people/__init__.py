"""Users, sessions, tokens, one-time codes, audit."""
