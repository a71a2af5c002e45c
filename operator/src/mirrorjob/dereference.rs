//! Step one: what the cluster holds that a job refers to.
