//! A tree deeper than any path can name.

use std::fs::File;
use std::path::Path;

use super::Content;
use crate::error::{Context, Result};
use crate::walk::Directory;

/// Makes `depth` nested directories with names of 255 bytes in an existing directory, with a file at the
/// bottom: 17 of them are beyond `PATH_MAX`. Returns the length of the path of that file.
pub fn chain(root: &Path, depth: usize) -> Result<usize> {
    let name = [b'd'; 255];
    let mut at = Directory::open(root).context("open", root)?;
    for _ in 0..depth {
        std::fs::create_dir(at.at(&name)).context("make a directory below", root)?;
        at = at
            .open_below(&name)
            .context("open a directory below", root)?;
    }
    let file = File::create_new(at.at(b"bottom")).context("make a file below", root)?;
    Content::full(5000, 1)
        .write(&file)
        .context("write a file below", root)?;
    Ok((name.len() + 1) * depth + b"bottom".len())
}
