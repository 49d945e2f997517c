-- When the engine was last known to have it, to the few minutes in which that is kept: so that one which went while
-- nobody looked is not said to have gone when somebody looked again.
ALTER TABLE containers ADD COLUMN seen_at INTEGER;
