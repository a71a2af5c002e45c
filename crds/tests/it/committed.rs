//! Files that are made from the types are committed and up to date.

use std::fs;
use std::path::Path;

use blit_crds::generated;

#[test]
fn every_generated_file_is_committed_as_it_would_be_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in generated::files().unwrap() {
        let committed = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        assert!(
            committed == file.content,
            "{} is out of date; run `{}` and commit the result",
            file.path,
            generated::COMMAND
        );
    }
}
