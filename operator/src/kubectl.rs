//! The plugin `kubectl blit`.
