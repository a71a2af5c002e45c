//! Values of attributes in the form of the kernel.

/// A POSIX ACL; as a mask it always grants everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// Permissions of owner, group and others, 0 to 7.
    pub base: (u16, u16, u16),
    /// Named users and their permissions.
    pub users: Vec<(u32, u16)>,
    /// Named groups and their permissions.
    pub groups: Vec<(u32, u16)>,
}

impl Acl {
    /// Returns the value of `system.posix_acl_access` or `system.posix_acl_default`.
    pub fn value(&self) -> Vec<u8> {
        /// Version of the format, and the id of entries that have none.
        const VERSION: u32 = 2;
        const NO_ID: u32 = u32::MAX;
        let mut value = VERSION.to_le_bytes().to_vec();
        let mut add = |tag: u16, permissions: u16, id: u32| {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        };
        add(0x01, self.base.0, NO_ID);
        sorted(&self.users).for_each(|(id, permissions)| add(0x02, permissions, id));
        add(0x04, self.base.1, NO_ID);
        sorted(&self.groups).for_each(|(id, permissions)| add(0x08, permissions, id));
        add(0x10, 7, NO_ID);
        add(0x20, self.base.2, NO_ID);
        value
    }
}

/// Returns the value of `security.capability` (version 2) with these permitted and effective bits.
pub fn capability(permitted: u32) -> Vec<u8> {
    /// Version 2 of the format, and the flag that makes them effective.
    const MAGIC: u32 = 0x0200_0001;
    [MAGIC, permitted, 0, 0, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// The kernel wants each id once; ascending is the order in which it lists them.
fn sorted(entries: &[(u32, u16)]) -> impl Iterator<Item = (u32, u16)> {
    let unique: std::collections::BTreeMap<_, _> = entries.iter().copied().collect();
    unique.into_iter()
}
