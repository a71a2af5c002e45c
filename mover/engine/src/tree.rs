//! Directory trees: handles that can be re-opened, and the streaming scan of a source on this host.

pub mod node;
pub mod ripe;
pub mod scan;
pub mod source_file;

pub use node::{HandlePool, Node};
pub use ripe::{is_young, ripen};
pub use scan::{LocalSource, ScanOptions};
pub use source_file::{ReadStatus, SourceFile};
