//! Sandboxes that refuse the calls by which the kernel moves content alone: it goes through memory then.

use std::fs::File;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::process::run;
use blit_e2e::sandbox::{self, Refused};
use blit_e2e::tree::{self, Content};
use serde_json::Value;

use crate::blit::{Mirror, Way, summary};
use crate::machine;

/// Mirrors a tree with one of everything and a large file in it while these calls are refused; returns the summary.
fn mirrored(way: Way, calls: &[i64]) -> Value {
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    tree::build(&tree::every_kind(), &source).unwrap();
    let large = File::create_new(source.join("large")).unwrap();
    Content::full(9 << 20, 1).write(&large).unwrap();
    let mirror = Mirror {
        way,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let refused: Vec<_> = calls
        .iter()
        .map(|&call| Refused {
            call: call as u32,
            arguments: &[],
        })
        .collect();
    let mut command = mirror.command();
    sandbox::refuse(&mut command, &refused);
    let finished = run(command).unwrap();
    finished.expect_code(0);
    oracle::assert_mirrored(&source, &destination);
    summary(&finished)
}

#[test]
fn where_sendfile_is_refused_content_is_sent_through_memory() {
    let _shared = machine::shared();
    let sent = mirrored(Way::Run, &[]);
    assert!(sent["zeroCopyShare"].as_f64() > Some(0.5), "{sent}");
    let sent = mirrored(Way::Run, &[libc::SYS_sendfile]);
    assert_eq!(sent["zeroCopyShare"].as_f64(), Some(0.0), "{sent}");
}

#[test]
fn where_splice_is_refused_what_arrives_is_written_from_memory() {
    let _shared = machine::shared();
    mirrored(Way::Run, &[libc::SYS_splice]);
    mirrored(Way::Run, &[libc::SYS_splice, libc::SYS_sendfile]);
}

#[test]
fn where_the_kernel_may_not_copy_a_local_mirror_reads_and_writes() {
    let _shared = machine::shared();
    let copies = [libc::SYS_copy_file_range, libc::SYS_sendfile];
    mirrored(Way::Local, &copies);
}
