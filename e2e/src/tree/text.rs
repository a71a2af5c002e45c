//! A tree as text: one line for each entry, so that a failure can be read.

use std::fmt;

use super::{Attributes, Kind, Tree};

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "root {}", self.root)?;
        for node in &self.nodes {
            let name = node.name.escape_ascii();
            writeln!(
                f,
                "in {}: \"{name}\" {} {}",
                node.place, node.kind, node.attributes
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symlink(target) => write!(f, "Symlink(\"{}\")", target.escape_ascii()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.mtime;
        write!(
            f,
            "{:04o} {}:{} {seconds}.{nanoseconds:09}",
            self.mode, self.uid, self.gid
        )?;
        for (name, value) in &self.xattrs {
            write!(f, " {}=\"{}\"", name.escape_ascii(), value.escape_ascii())?;
        }
        for (kind, acl) in [("acl", &self.acl), ("default", &self.default_acl)] {
            acl.iter()
                .try_for_each(|acl| write!(f, " {kind}={acl:?}"))?;
        }
        Ok(())
    }
}
