//! Extended attributes of a path, symbolic links not followed.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lremovexattr, lsetxattr};

/// Names and values.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The kernel's limit for the list of names and for one value (XATTR_LIST_MAX, XATTR_SIZE_MAX), in bytes.
const LIMIT: usize = 64 * 1024;

/// Reads all of them; a file system without any answers with none.
pub(crate) fn read(path: &Path) -> io::Result<Xattrs> {
    // Most entries have none: ask for the length first and spare them the buffers.
    match rustix::fs::llistxattr_query(path) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(Xattrs::new()),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut list = vec![0; LIMIT];
    let length = llistxattr(path, &mut list[..])?;
    let mut value = vec![0; LIMIT];
    list[..length]
        .split_inclusive(|byte| *byte == 0)
        .map(|name| {
            let name = CStr::from_bytes_with_nul(name).map_err(io::Error::other)?;
            let length = lgetxattr(path, name, &mut value[..])?;
            Ok((name.to_bytes().to_vec(), value[..length].to_vec()))
        })
        .collect()
}

/// Sets one.
pub(crate) fn set(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(lsetxattr(
        path,
        CString::new(name)?,
        value,
        XattrFlags::empty(),
    )?)
}

/// Removes one.
pub(crate) fn remove(path: &Path, name: &[u8]) -> io::Result<()> {
    Ok(lremovexattr(path, CString::new(name)?)?)
}
