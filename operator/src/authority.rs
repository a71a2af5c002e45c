//! The identity with which the operator speaks to movers.
