//! Kubernetes Events about MirrorJobs.
