//! Followers of the movers' progress.
