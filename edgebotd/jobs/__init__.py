"""What runs on a clock, one file per job. `edgebotd.supervisor` runs them; `edgebotd.daemon` wires them."""
