//! What holds for a local mirror holds through `blit run -f`; and the status it prints.

use blit_e2e::area::FileSystem;
use blit_e2e::oracle;
use blit_e2e::process::run;

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
    let manifest = manifest(setting.area.path(), &spec("Mirror", ""));
    let mut command = blit::blit(&["run", "-f"]);
    command
        .arg(manifest)
        .arg("--volume")
        .arg(volume("source", &setting.source));
    command
        .arg("--volume")
        .arg(volume("destination", &setting.destination));
    let finished = run(command).unwrap();
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
fn copy_deletes_nothing_that_only_the_destination_has() {
    let _shared = machine::shared();
    let setting = Setting::new(FileSystem::Ext4);
    std::fs::create_dir_all(setting.destination.join("names")).unwrap();
    std::fs::write(setting.destination.join("names/mine"), "mine").unwrap();
    let manifest = manifest(setting.area.path(), &spec("Copy", ""));
    let mut command = blit::blit(&["run", "-f"]);
    command
        .arg(manifest)
        .arg("--volume")
        .arg(volume("source", &setting.source));
    command
        .arg("--volume")
        .arg(volume("destination", &setting.destination));
    run(command).unwrap().expect_code(0);
    let mine = std::fs::read_to_string(setting.destination.join("names/mine")).unwrap();
    assert_eq!(mine, "mine");
    assert!(setting.destination.join("sizes/1").exists());
}
