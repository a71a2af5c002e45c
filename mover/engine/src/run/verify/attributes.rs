//! What entries of one kind have besides content and links.

use super::{Sides, Verifier};
use crate::apply::attributes;
use crate::entry::{Entry, Kind, Meta, Xattrs};
use crate::fs::{FsError, xattr};
use crate::plan::compare::{Attributes, same_time, xattr_changes};
use crate::run::events::Event;

impl Verifier {
    /// Compares what entries of one kind have besides content and links.
    pub(super) fn of_kind(
        &self,
        sides: &Sides,
        entry: &Entry,
        existing: &Meta,
    ) -> Result<Vec<&'static str>, FsError> {
        let failed = |errno| FsError::new("read attributes of", &entry.name, errno);
        let mut found = Vec::new();
        if entry.meta.kind == Kind::Symlink {
            let target = sides.there.read_link(&entry.name).map_err(failed)?;
            if entry.target.as_deref() != Some(&*target) {
                found.push("target");
            }
        }
        if entry.meta.rdev != existing.rdev {
            found.push("device");
        }
        let wanted = xattr::of_name(&sides.source, &entry.name).map_err(failed)?;
        let has = xattr::of_name(&sides.there, &entry.name).map_err(failed)?;
        let path = || entry.name.to_vec();
        found.extend(self.attributes(&entry.meta, existing, &wanted, &has, path));
        Ok(found)
    }

    pub(super) fn attributes(
        &self,
        source: &Meta,
        existing: &Meta,
        wanted: &Xattrs,
        has: &Xattrs,
        path: impl Fn() -> Vec<u8>,
    ) -> Vec<&'static str> {
        let mut found = Vec::new();
        let target = Attributes::target(source, &self.ability);
        if target.uid.is_some_and(|uid| uid != existing.uid)
            || target.gid.is_some_and(|gid| gid != existing.gid)
        {
            found.push("owner");
        }
        if source.kind != Kind::Symlink && target.mode != existing.mode {
            found.push("mode");
        }
        if !same_time(source, existing) {
            found.push("time");
        }
        let changes = xattr_changes(wanted, has, &self.ability, target.keeps_owner());
        for name in (changes.set.iter().map(|(name, _)| *name)).chain(changes.remove) {
            let kind = attributes::kind_of(name);
            if !found.contains(&kind) {
                found.push(kind);
            }
        }
        for kind in attributes::not_kept(source, wanted, existing, has, &self.ability) {
            if let Some(path) = self.counters.not_kept(kind, &path) {
                self.event(&Event::Note {
                    path: &path,
                    kind: "notKept",
                    message: kind.to_owned(),
                });
            }
        }
        found
    }
}
