use super::*;
use crate::parse_manifest;

const CLAIMS: &str = "
apiVersion: blit.dev/v1alpha1
kind: MirrorJob
metadata: {name: nightly}
spec:
  operation: Mirror
  source: {persistentVolumeClaim: {claimName: raw, path: /2024}}
  destination: {persistentVolumeClaim: {claimName: copy}}
";

fn context() -> MoverContext {
    MoverContext {
        root: "/data".into(),
        host_prefix: "/".into(),
        identity: "/identity".into(),
        job_uid: "2c9d".into(),
        attempt: 3,
        termination_message: Some("/dev/termination-log".into()),
        special_files: true,
    }
}

fn spec(manifest: &str) -> MirrorJobSpec {
    parse_manifest(manifest).unwrap().spec
}

fn words(line: Result<Vec<OsString>, ArgumentError>) -> String {
    line.unwrap().join(" ".as_ref()).into_string().unwrap()
}

#[test]
fn who_dials_is_told_which_data_planes_it_may_use() {
    let told = |transport: &str| {
        let spec = spec(&format!("{CLAIMS}  transport: {transport}\n"));
        let line = source(&spec, &context(), "destination:9031").unwrap();
        let flags = ["--force-grpc-data", "--no-fallback"];
        let known = line.into_iter().filter(|argument| {
            flags
                .iter()
                .any(|flag| argument.as_os_str() == std::ffi::OsStr::new(flag))
        });
        known
            .map(|flag| flag.into_string().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(told("{kind: Auto}").is_empty() && told("{kind: TCP}").is_empty());
    assert_eq!(told("{kind: GRPC}"), ["--force-grpc-data"]);
    assert_eq!(told("{kind: GRPC, fallback: Deny}"), ["--force-grpc-data"]);
    assert_eq!(told("{kind: TCP, fallback: Deny}"), ["--no-fallback"]);
    assert_eq!(told("{fallback: Deny}"), ["--no-fallback"]);
    let spec = spec(&format!("{CLAIMS}  transport: {{encryption: All}}\n"));
    let line = words(source(&spec, &context(), "destination:9031"));
    assert!(line.contains(" --encryption all "), "{line}");
}

#[test]
fn the_destination_listens_and_is_told_what_to_do() {
    let line = destination(
        &spec(CLAIMS),
        &context(),
        "0.0.0.0:9031".parse().unwrap(),
        9032,
    );
    assert_eq!(
        words(line),
        "mover destination --root /data --path / --operation mirror --listen 0.0.0.0:9031 \
         --data-port 9032 --identity /identity --job-uid 2c9d --attempt 3 --progress-deadline 600 \
         --termination-message /dev/termination-log"
    );
}

#[test]
fn a_dry_run_and_filters_are_passed_on_in_their_order() {
    let manifest = format!(
        "{CLAIMS}  dryRun: true\n  filters: [{{include: --keep}}, {{exclude: '- x'}}, {{include: '*'}}]\n"
    );
    let listen = "0.0.0.0:9031".parse().unwrap();
    let line = words(destination(&spec(&manifest), &context(), listen, 9032));
    let expected = " --dry-run --include=--keep --exclude=- x --include=* --progress-deadline";
    assert!(line.contains(expected), "{line}");
    // The source lists everything; who writes decides.
    let line = words(source(&spec(&manifest), &context(), "[fd00::7]:9031"));
    assert!(!line.contains("clude"), "{line}");
}

#[test]
fn the_source_dials_and_is_told_only_what_to_read() {
    assert_eq!(
        words(source(&spec(CLAIMS), &context(), "[fd00::7]:9031")),
        "mover source --root /data --path /2024 --connect [fd00::7]:9031 --identity /identity \
         --job-uid 2c9d --attempt 3 --progress-deadline 600 \
         --termination-message /dev/termination-log"
    );
}

#[test]
fn limits_on_deletions_reach_a_mirror_as_count_and_as_share() {
    let with = |deletion: &str| {
        let spec = spec(&format!("{CLAIMS}  deletion: {deletion}\n"));
        words(destination(&spec, &context(), "[::]:0".parse().unwrap(), 0))
    };
    assert!(with("{maxDelete: 1000}").contains(" --max-delete 1000 --progress"));
    assert!(with("{maxDelete: 10%}").contains(" --max-delete 10% --progress"));
    assert!(with("{allowEmptySource: true}").contains(" --allow-empty-source --progress"));
    assert!(with("{}").contains("--attempt 3 --progress"));
}

#[test]
fn who_writes_is_told_how_to_compare() {
    let line = |more: &str| {
        let spec = spec(&format!("{CLAIMS}{more}"));
        let any = "[::]:0".parse().unwrap();
        let destination = words(destination(&spec, &context(), any, 0));
        [
            destination,
            words(local(&spec, &context(), &context(), any)),
        ]
    };
    for line in line("  compare: Checksum\n") {
        assert!(line.contains(" --checksum --progress"), "{line}");
    }
    for line in line("  compare: SizeAndTime\n") {
        assert!(!line.contains("--checksum"), "{line}");
    }
}

#[test]
fn a_copy_is_never_told_anything_about_deletions() {
    let manifest = CLAIMS.replace("Mirror\n", "Copy\n");
    let line = words(destination(
        &spec(&manifest),
        &context(),
        "[::1]:0".parse().unwrap(),
        0,
    ));
    assert!(line.contains("--operation copy --listen [::1]:0 --data-port 0 --identity"));
    assert!(!line.contains("delete") && !line.contains("empty"));
}

#[test]
fn a_host_path_is_told_relative_to_the_prefix_that_is_mounted() {
    let manifest = CLAIMS.replace(
        "persistentVolumeClaim: {claimName: raw, path: /2024}",
        "hostPath: {nodeName: n1, path: /srv/data/2024}",
    );
    let spec = spec(&manifest);
    let below = |prefix: &str| {
        source(
            &spec,
            &MoverContext {
                host_prefix: prefix.into(),
                ..context()
            },
            "h:1",
        )
    };
    assert!(words(below("/")).contains("--path /srv/data/2024 "));
    assert!(words(below("/srv/data")).contains("--path /2024 "));
    assert!(words(below("/srv/data/2024")).contains("--path / "));
    assert_eq!(
        below("/srv/da").unwrap_err().to_string(),
        "hostPath `/srv/data/2024` is not below `/srv/da`, which is what the mover can see; allow \
         a prefix of the path"
    );
}

#[test]
fn a_local_mover_is_told_both_volumes_and_listens_for_the_operator_alone() {
    let source = MoverContext {
        root: "/source".into(),
        ..context()
    };
    let with = |manifest: &str| {
        let listen = "[::]:9031".parse().unwrap();
        words(local(&spec(manifest), &source, &context(), listen))
    };
    assert_eq!(
        with(CLAIMS),
        "mover local --source-root /source --source-path /2024 --root /data --path / \
         --operation mirror --listen [::]:9031 --identity /identity --job-uid 2c9d --attempt 3 \
         --progress-deadline 600 --termination-message /dev/termination-log"
    );
    let limited = with(&format!(
        "{CLAIMS}  deletion: {{maxDelete: 7, allowEmptySource: true}}\n"
    ));
    assert!(limited.contains(" --attempt 3 --max-delete 7 --allow-empty-source --progress"));
}

#[test]
fn each_path_of_a_local_mover_is_relative_to_the_prefix_of_its_own_side() {
    let manifest = "
apiVersion: blit.dev/v1alpha1
kind: MirrorJob
metadata: {name: nightly}
spec:
  operation: Copy
  source: {hostPath: {nodeName: n1, path: /srv/raw/2024}}
  destination: {hostPath: {nodeName: n1, path: /mnt/copy/a}}
  mover: {podSecurity: Privileged}
";
    let side = |root: &str, prefix: &str| MoverContext {
        root: root.into(),
        host_prefix: prefix.into(),
        ..context()
    };
    let listen = "[::]:9031".parse().unwrap();
    let line = words(local(
        &spec(manifest),
        &side("/source", "/srv"),
        &side("/data", "/mnt/copy"),
        listen,
    ));
    assert!(line.contains("--source-root /source --source-path /raw/2024 --root /data --path /a "));
}

#[test]
fn only_who_writes_is_told_that_special_files_are_not_allowed() {
    let plain = MoverContext {
        special_files: false,
        ..context()
    };
    let (spec, listen) = (spec(CLAIMS), "[::]:0".parse().unwrap());
    let told = " --no-special-files --progress-deadline 600";
    assert!(words(destination(&spec, &plain, listen, 0)).contains(told));
    assert!(words(local(&spec, &plain, &plain, listen)).contains(told));
    assert!(!words(source(&spec, &plain, "h:1")).contains("special"));
}
