//! Hard links: the paths of both trees must fall into the same groups.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::{Difference, What};

/// Identity of an inode: device, number.
type Inode = (u64, u64);

/// What is known about an inode of one side.
struct Group {
    /// First path seen, same in both trees.
    first: Vec<u8>,
    /// The inode of that path on the other side.
    other: Inode,
    /// Names seen.
    names: u64,
    /// Link count that the inode claims.
    count: u64,
}

/// Collects every path that both sides have and that is not a directory.
#[derive(Default)]
pub(super) struct Links {
    source: HashMap<Inode, Group>,
    destination: HashMap<Inode, Group>,
}

impl Links {
    /// Notes a path; reports it if the path it is linked to differs between the sides.
    pub(super) fn add(
        &mut self,
        path: &[u8],
        source: &Metadata,
        destination: &Metadata,
    ) -> Option<Difference> {
        if source.nlink() < 2 && destination.nlink() < 2 {
            return None;
        }
        let (here, there) = (inode(source), inode(destination));
        let broken = add(&mut self.source, here, there, path, source.nlink());
        let joined = add(
            &mut self.destination,
            there,
            here,
            path,
            destination.nlink(),
        );
        let what = broken
            .map(What::LinkBroken)
            .or_else(|| joined.map(What::LinkJoined))?;
        Some(Difference {
            path: path.to_vec(),
            what,
        })
    }

    /// Reports inodes of the destination that have more or fewer names than they claim: a name outside the
    /// tree would let a write through one of them change the other.
    pub(super) fn finish(self) -> impl Iterator<Item = Difference> {
        self.destination
            .into_values()
            .filter(|group| group.names != group.count)
            .map(|group| Difference {
                path: group.first,
                what: What::LinkCount(group.count, group.names),
            })
    }
}

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// Adds a name to the group of an inode; returns the first path of the group if the other side has this
/// name in another group.
fn add(
    groups: &mut HashMap<Inode, Group>,
    inode: Inode,
    other: Inode,
    path: &[u8],
    count: u64,
) -> Option<Vec<u8>> {
    let group = groups.entry(inode).or_insert_with(|| Group {
        first: path.to_vec(),
        other,
        names: 0,
        count,
    });
    group.names += 1;
    (group.other != other).then(|| group.first.clone())
}
