use std::fs;

use blit_crds::load_manifest;
use blit_crds::outcome::ExitCode;

use super::*;

fn spec(source: &str, destination: &str) -> MirrorJobSpec {
    let text = format!(
        "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\nmetadata: {{name: x}}\nspec:\n  \
         operation: Copy\n  mover: {{podSecurity: Privileged}}\n  source: {source}\n  \
         destination: {destination}\n"
    );
    load_manifest(&text).unwrap().spec
}

fn claims() -> MirrorJobSpec {
    spec(
        "{persistentVolumeClaim: {claimName: raw, path: /in}}",
        "{persistentVolumeClaim: {claimName: out}}",
    )
}

fn volume(text: &str) -> Volume {
    text.parse().unwrap()
}

#[test]
fn a_claim_is_a_folder_of_its_name_unless_an_option_says_otherwise() {
    let roots = resolve(&claims(), &[volume("out=/mnt/out")]).unwrap();
    assert_eq!(roots.source.directory, Path::new("volumes/raw"));
    assert_eq!(roots.source.named(), Path::new("volumes/raw/in"));
    assert_eq!(roots.destination.named(), Path::new("/mnt/out"));
}

#[test]
fn a_path_of_a_node_is_that_path_here() {
    let spec = spec(
        "{hostPath: {nodeName: n1, path: /data/x}}",
        "{persistentVolumeClaim: {claimName: o}}",
    );
    let roots = resolve(&spec, &[]).unwrap();
    assert_eq!(roots.source.named(), Path::new("/data/x"));
    assert_eq!(roots.source.path, Path::new("/"));
}

#[test]
fn an_option_for_no_claim_is_refused_and_the_claims_are_named() {
    let error = resolve(&claims(), &[volume("rwa=/x")]).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(
        error.to_string().contains("its claims are `raw`, `out`"),
        "{error}"
    );
    let error = resolve(&claims(), &[volume("raw=/x"), volume("raw=/y")]).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn the_source_must_exist_and_the_destination_is_made() {
    let area = tempfile::tempdir().unwrap();
    let path = |name: &str| area.path().join(name).display().to_string();
    let volumes = [
        volume(&format!("raw={}", path("raw"))),
        volume(&format!("out={}", path("out"))),
    ];
    let roots = resolve(&claims(), &volumes).unwrap();

    let error = prepare(&claims(), &roots).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(error.to_string().contains("--volume raw=DIR"), "{error}");

    fs::create_dir(path("raw")).unwrap();
    let error = prepare(&claims(), &roots).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(error.to_string().contains("/in` does not exist"), "{error}");
    assert!(
        !area.path().join("out").exists(),
        "nothing is made for a run that cannot begin"
    );

    fs::create_dir(path("raw/in")).unwrap();
    prepare(&claims(), &roots).unwrap();
    assert!(area.path().join("out").is_dir());
}

#[test]
fn two_claims_in_one_place_are_refused() {
    let area = tempfile::tempdir().unwrap();
    fs::create_dir(area.path().join("in")).unwrap();
    let here = area.path().display();
    let volumes = [
        volume(&format!("raw={here}")),
        volume(&format!("out={here}/in/out")),
    ];
    let error = prepare(&claims(), &resolve(&claims(), &volumes).unwrap()).unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(
        error
            .to_string()
            .contains("the destination is inside the source"),
        "{error}"
    );
    assert_eq!(fs::read_dir(area.path().join("in")).unwrap().count(), 0);
}
