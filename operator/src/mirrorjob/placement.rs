//! Where the movers of a job may run. Pure.
