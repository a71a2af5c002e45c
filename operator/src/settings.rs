//! What the administrator says: the configuration file of the operator.
