package store // want

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.

// A line.
