// What the tests of smoothness look at: work is counted, not timed.

export const counts = {
  /** Times that a block went through the markdown parser. */
  parsed: 0,
  /** UTF-16 units that went through it. */
  parsedUnits: 0,
  /** Frames in which streaming text was painted. */
  painted: 0,
  /** Deltas that came in. */
  deltas: 0,
};
