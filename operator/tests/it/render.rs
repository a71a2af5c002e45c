//! `blit-operator render` as a person calls it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use k8s_openapi::api::core::v1::{Pod, Secret};
use serde::de::DeserializeOwned;

const MANIFEST: &str = "\
apiVersion: blit.dev/v1alpha1
kind: MirrorJob
metadata:
  name: nightly
spec:
  operation: Mirror
  source:
    persistentVolumeClaim:
      claimName: raw
  destination:
    persistentVolumeClaim:
      claimName: copy
";

/// Runs `blit-operator render -f -` with further arguments on a manifest.
fn render(manifest: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_blit-operator"))
        .args(["render", "-f", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(manifest.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// The documents of an output, each as its text.
fn documents(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", stderr(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    // A line of its own: certificates end in dashes, too.
    format!("\n{text}")
        .split("\n---\n")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn read<T: DeserializeOwned>(document: &str) -> T {
    serde_saphyr::from_str(document).unwrap()
}

fn kinds(documents: &[String]) -> Vec<&str> {
    documents
        .iter()
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("kind: ")))
        .collect()
}

#[test]
fn the_first_step_is_everything_up_to_the_pod_of_the_destination() {
    let output = render(MANIFEST, &["--image", "registry.example/blit:1"]);
    let documents = documents(&output);
    assert_eq!(
        kinds(&documents),
        ["Secret", "Secret", "NetworkPolicy", "NetworkPolicy", "Pod"]
    );
    let pod: Pod = read(&documents[4]);
    assert_eq!(
        pod.spec.unwrap().containers[0].image.as_deref(),
        Some("registry.example/blit:1")
    );
    assert!(
        stderr(&output).contains("--destination-address"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_identities_are_real_and_each_side_has_its_own_key() {
    let documents = documents(&render(MANIFEST, &[]));
    let secrets: [Secret; 2] = [read(&documents[0]), read(&documents[1])];
    let pem = |secret: &Secret, name: &str| {
        String::from_utf8(secret.data.as_ref().unwrap()[name].0.clone()).unwrap()
    };
    for secret in &secrets {
        assert_eq!(secret.immutable, Some(true));
        assert!(pem(secret, "tls.crt").starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(pem(secret, "tls.key").starts_with("-----BEGIN PRIVATE KEY-----"));
    }
    assert_eq!(pem(&secrets[0], "ca.crt"), pem(&secrets[1], "ca.crt"));
    assert_ne!(pem(&secrets[0], "tls.key"), pem(&secrets[1], "tls.key"));
}

#[test]
fn the_second_step_is_the_pod_of_the_source_and_fits_the_first() {
    let first = documents(&render(MANIFEST, &[]));
    let second = documents(&render(MANIFEST, &["--destination-address", "10.0.0.7"]));
    assert_eq!(kinds(&second), ["Pod"]);
    let pod: Pod = read(&second[0]);
    let spec = pod.spec.unwrap();
    let identity = spec
        .volumes
        .unwrap()
        .pop()
        .unwrap()
        .secret
        .unwrap()
        .secret_name
        .unwrap();
    let secrets: Vec<String> = first[..2]
        .iter()
        .map(|text| read::<Secret>(text).metadata.name.unwrap())
        .collect();
    assert!(
        secrets.contains(&identity),
        "{identity} is not one of {secrets:?}"
    );
    let line = spec.containers[0].args.clone().unwrap().join(" ");
    assert!(line.contains("--connect 10.0.0.7:9031"), "{line}");
}

#[test]
fn an_invalid_manifest_is_refused_with_2_and_nothing_on_stdout() {
    for (manifest, message) in [
        (
            MANIFEST.replace("claimName: raw", "claimname: raw"),
            "did you mean `claimName`?",
        ),
        (
            MANIFEST.replace("MirrorJob", "Job"),
            "kind is `Job`, not `MirrorJob`",
        ),
        (
            format!("{MANIFEST}  bandwidthLimit: 100Mi\n"),
            "is not supported by this version of blit",
        ),
        (
            format!("{MANIFEST}  suspend: true\n"),
            "the MirrorJob is suspended",
        ),
    ] {
        let output = render(&manifest, &[]);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_blit-operator"))
        .args(["render", "-f", "/nowhere.yaml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot read the manifest /nowhere.yaml: "));
}

#[test]
fn a_host_path_needs_permission_on_the_command_line() {
    let manifest = MANIFEST.replace(
        "persistentVolumeClaim:\n      claimName: raw",
        "hostPath: {nodeName: n1, path: /srv/data}",
    ) + "  mover: {source: {podSecurity: Privileged}}\n";
    let output = render(&manifest, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--allow-host-path DIRECTORY"),
        "{}",
        stderr(&output)
    );
    assert!(
        render(&manifest, &["--allow-host-path", "/srv"])
            .status
            .success()
    );
}
