//! What holds for a local mirror holds through `blit run -f`; and the status it prints.

use std::process::Command;

use blit_e2e::area::FileSystem;
use blit_e2e::network::{Host, Network};
use blit_e2e::oracle;
use blit_e2e::process::run;
use blit_e2e::tree::Content;

use crate::blit::{Way, manifest, spec, volume};
use crate::local_mirror::{self, Setting};
use crate::{blit, machine, random_trees};

#[test]
fn one_of_everything_is_mirrored_and_followed_on_ext4() {
    let _shared = machine::shared();
    local_mirror::follows(Way::Run, FileSystem::Ext4);
}

#[test]
fn one_of_everything_is_mirrored_and_followed_on_xfs() {
    let _shared = machine::shared();
    local_mirror::follows(Way::Run, FileSystem::Xfs);
}

#[test]
fn any_tree_replaces_any_other() {
    let _shared = machine::shared();
    random_trees::replaces(Way::Run);
}

#[test]
fn the_status_says_complete_over_tcp_with_true_figures() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    // On a busy machine a run may be over before TCP has come.
    let spec = spec("Mirror", "transport: {fallback: Deny}");
    let finished = run(run_of(&setting, &spec)).unwrap();
    finished.expect_code(0);
    oracle::assert_mirrored(&setting.source, &setting.destination);

    let job: serde_json::Value = serde_saphyr::from_str(&finished.stdout()).unwrap();
    assert_eq!(job["kind"], "MirrorJob");
    assert_eq!(job["spec"]["operation"], "Mirror");
    let status = &job["status"];
    assert_eq!(status["phase"], "Complete");
    assert_eq!(status["transport"]["selected"], "TCP");
    assert_eq!(status["progress"]["percent"], 100);
    assert_eq!(status["progress"]["filesFailed"], 0);
    assert_eq!(status["attempts"][0]["exitCode"], 0);
    let condition = |kind: &str| {
        let conditions = status["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|c| c["type"] == kind)
            .map(|c| c["status"].clone())
    };
    assert_eq!(condition("Complete"), Some("True".into()));
    assert_eq!(condition("Failed"), Some("False".into()));
    assert!(
        status.get("failure").is_none_or(serde_json::Value::is_null),
        "{status}"
    );
}

#[test]
fn content_travels_inside_grpc_where_the_manifest_says_so() {
    travels("{kind: GRPC}", "GRPC", "ControlPlane");
}

#[test]
fn content_is_encrypted_where_the_manifest_says_so() {
    travels("{encryption: All, fallback: Deny}", "TCP", "All");
}

/// Mirrors with these lines about the transport, and looks what the status says of it.
fn travels(transport: &str, selected: &str, encryption: &str) {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    let more = format!("transport: {transport}");
    let finished = run(run_of(&setting, &spec("Mirror", &more))).unwrap();
    finished.expect_code(0);
    oracle::assert_mirrored(&setting.source, &setting.destination);
    let job: serde_json::Value = serde_saphyr::from_str(&finished.stdout()).unwrap();
    let transport = &job["status"]["transport"];
    assert_eq!(transport["selected"], selected);
    assert_eq!(transport["encryption"], encryption);
    assert_eq!(transport["zeroCopy"], false);
}

#[test]
fn where_tcp_is_broken_data_goes_inside_grpc_unless_the_manifest_denies_it() {
    let _shared = machine::shared();
    for (transport, code) in [("{kind: TCP}", 0), ("{fallback: Deny}", 30)] {
        let setting = Setting::new(FileSystem::Ext4);
        let network = Network::new().unwrap();
        // Both movers are on one host, and nobody knows its ports before it is too late.
        network.refuse_beginning(*b"BLITDP2\0").unwrap();
        // TCP is given up after 3 s: so long it has to take.
        network.limit_loopback(100).unwrap();
        let large = std::fs::File::create_new(setting.source.join("large")).unwrap();
        Content::full(60 << 20, 3).write(&large).unwrap();
        let more = format!("transport: {transport}");
        let command = run_of(&setting, &spec("Mirror", &more));
        let finished = run(network.on(Host::Near, &command)).unwrap();
        finished.expect_code(code);
        let job: serde_json::Value = serde_saphyr::from_str(&finished.stdout()).unwrap();
        let status = &job["status"];
        if code == 0 {
            oracle::assert_mirrored(&setting.source, &setting.destination);
            assert_eq!(status["transport"]["selected"], "GRPC", "{status}");
            let tried = &status["transport"]["tried"];
            assert_eq!(tried[0]["kind"], "TCP", "{status}");
        } else {
            assert_eq!(
                status["failure"]["reason"], "TransportUnavailable",
                "{status}"
            );
            let message = status["failure"]["message"].as_str().unwrap();
            let cause = "cannot open the data connection to 127.0.0.1:";
            assert!(message.starts_with(cause), "{message}");
            let transport = &status["transport"];
            assert_eq!(transport["selected"], "TCP", "{status}");
            let tried = transport["tried"].as_array().unwrap();
            assert_eq!(tried.len(), 1, "{status}");
            assert_eq!(tried[0]["kind"], "TCP", "{status}");
            let reason = tried[0]["reason"].as_str().unwrap();
            assert!(reason.starts_with("127.0.0.1:"), "{reason}");
            assert!(!setting.destination.join("large").exists());
        }
    }
}

#[test]
fn copy_deletes_nothing_that_only_the_destination_has() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    std::fs::create_dir_all(setting.destination.join("names")).unwrap();
    std::fs::write(setting.destination.join("names/mine"), "mine").unwrap();
    run(run_of(&setting, &spec("Copy", "")))
        .unwrap()
        .expect_code(0);
    let mine = std::fs::read_to_string(setting.destination.join("names/mine")).unwrap();
    assert_eq!(mine, "mine");
    assert!(setting.destination.join("sizes/1").exists());
}

/// Returns the command that runs a manifest with this specification from the setting's source to its destination.
fn run_of(setting: &Setting, spec: &str) -> Command {
    let mut command = blit::blit(&["run", "-f"]);
    command.arg(manifest(setting.area.path(), spec));
    for (claim, directory) in [
        ("source", &setting.source),
        ("destination", &setting.destination),
    ] {
        command.arg("--volume").arg(volume(claim, directory));
    }
    command
}
