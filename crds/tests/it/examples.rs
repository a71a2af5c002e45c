//! Every example in the documentation is a manifest that can be run.

use std::fs;
use std::path::Path;

use blit_crds::load_manifest;

#[test]
fn every_example_is_a_valid_manifest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        if let Err(error) = load_manifest(&fs::read_to_string(&path).unwrap()) {
            panic!("{}: {error}", path.display());
        }
    }
    assert!(seen > 0, "there is no example in {}", folder.display());
}
