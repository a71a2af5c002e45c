//! The shape of work that a run met, as the summary tells it; each is mirrored exactly, whatever is done for it.

use std::fs::{self, File};
use std::path::Path;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::tree::Content;

use crate::blit::{Mirror, Way};
use crate::machine;

/// Mirrors what `make` makes, twice; returns the shape of the first run.
#[track_caller]
fn shape(area: &Area, name: &str, make: impl FnOnce(&Path)) -> String {
    let source = area.join(&format!("{name}-source"));
    let destination = area.join(&format!("{name}-destination"));
    fs::create_dir(&source).unwrap();
    make(&source);
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let first = mirror.complete();
    oracle::assert_mirrored(&source, &destination);
    assert_eq!(mirror.complete()["fastPath"], "inSync", "{name}");
    first["fastPath"].as_str().unwrap_or("null").to_owned()
}

fn files(root: &Path, count: usize, in_each: usize) {
    for n in 0..count {
        let directory = root.join((n / in_each).to_string());
        if n % in_each == 0 {
            fs::create_dir(&directory).unwrap();
        }
        fs::write(directory.join(format!("file-{n}")), n.to_string()).unwrap();
    }
}

#[test]
fn each_shape_of_work_is_known_and_mirrored() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    assert_eq!(shape(&area, "tiny", |root| files(root, 8, 4)), "tinyTree");
    assert_eq!(shape(&area, "few", |root| files(root, 40, 10)), "null");
    let many = shape(&area, "many", |root| files(root, 1200, 100));
    assert_eq!(many, "manySmallFiles");
    let flat = shape(&area, "flat", |root| files(root, 12_000, 12_000));
    assert_eq!(flat, "flatDirectory");
    let huge = shape(&area, "huge", |root| {
        files(root, 3, 3);
        let file = File::create_new(root.join("huge")).unwrap();
        // Longer than its data: the end is a hole.
        Content::full(65 << 20, 1).write(&file).unwrap();
        file.set_len(70 << 20).unwrap();
    });
    assert_eq!(huge, "hugeFile");
}
