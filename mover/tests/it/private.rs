//! What the program asks of the kernel: no connection for local work, no reading where the kernel can send.

use std::fs::File;

use blit_e2e::area::{Area, FileSystem};
use blit_e2e::oracle;
use blit_e2e::trace::{Call, run_traced};
use blit_e2e::tree::{self, Content};

use crate::blit::{Mirror, Way};
use crate::machine;

#[test]
fn a_local_mirror_connects_to_nobody() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    tree::build(&tree::every_kind(), &source).unwrap();
    let mirror = Mirror {
        way: Way::Local,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let traced = run_traced(&mirror.command(), "connect,sendto,sendmsg,bind,listen").unwrap();
    traced.finished.expect_code(0);
    // A pair of sockets between threads is not a network; nothing here may have an address.
    assert_eq!(traced.calls, [], "a local mirror used the network");
    oracle::assert_mirrored(&source, &destination);
}

#[test]
fn a_large_file_is_pushed_without_being_read() {
    let _shared = machine::shared();
    let area = Area::on(FileSystem::Ext4).unwrap();
    let (source, destination) = (area.join("source"), area.join("destination"));
    std::fs::create_dir(&source).unwrap();
    let file = File::create_new(source.join("large")).unwrap();
    Content::full(4 << 30, 1).write(&file).unwrap();
    let mirror = Mirror {
        way: Way::Run,
        source: &source,
        destination: &destination,
        work: area.path(),
    };
    let calls =
        "read,pread64,readv,preadv,preadv2,mmap,sendfile,splice,sync_file_range,io_uring_setup";
    let traced = run_traced(&mirror.command(), calls).unwrap();
    traced.finished.expect_code(0);

    let path = format!("<{}>", source.join("large").display());
    let of_source = |call: &&Call| call.text.contains(&path);
    let (sent, read): (Vec<_>, Vec<_>) = traced
        .calls
        .iter()
        .filter(of_source)
        .partition(|call| matches!(call.name.as_str(), "sendfile" | "splice"));
    assert!(read.is_empty(), "the source was read: {read:?}");
    assert!(
        sent.len() >= 1024,
        "only {} calls sent the file",
        sent.len()
    );
    // From the socket to a pipe, and on to the file.
    assert!(
        traced.count("splice") > 1024,
        "what arrived was copied: {} calls of splice",
        traced.count("splice")
    );
    // A device may take less than arrives: then the rest is left to the kernel.
    assert!(
        traced.count("sync_file_range") >= 64,
        "nothing was written to the device before the end: {} calls",
        traced.count("sync_file_range")
    );
    assert_eq!(
        traced.count("io_uring_setup"),
        0,
        "a ring would hide its reads"
    );
    oracle::assert_mirrored(&source, &destination);
}
