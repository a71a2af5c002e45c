use super::*;

const GOOD: &str = "\
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

/// The text of the error with which a manifest is refused.
fn refused(text: &str) -> String {
    parse_manifest(text).unwrap_err().to_string()
}

#[test]
fn the_shortest_manifest_gets_every_default() {
    let job = parse_manifest(GOOD).unwrap();
    assert_eq!(job.metadata.name.as_deref(), Some("nightly"));
    insta::assert_snapshot!(to_yaml(&job).unwrap(), @r"
    apiVersion: blit.dev/v1alpha1
    kind: MirrorJob
    metadata:
      name: nightly
    spec:
      operation: Mirror
      source:
        persistentVolumeClaim:
          claimName: raw
          path: /
          readOnly: true
      destination:
        persistentVolumeClaim:
          claimName: copy
          path: /
          inUse: Wait
      compare: SizeAndTime
      verify: None
      deletion:
        allowEmptySource: false
      dryRun: false
      transport:
        kind: Auto
        fallback: Allow
        encryption: ControlPlane
      mover:
        podSecurity: Restricted
      suspend: false
      backoffLimit: 6
      progressDeadlineSeconds: 600
    ");
}

#[test]
fn what_is_written_is_read_again_as_the_same_job() {
    let mut job = parse_manifest(GOOD).unwrap();
    job.status = Some(crate::MirrorJobStatus::default());
    assert_eq!(parse_manifest(&to_yaml(&job).unwrap()).unwrap(), job);
}

#[test]
fn an_unknown_field_is_named_with_its_line_and_the_one_that_was_meant() {
    let text = GOOD.replace("claimName: copy", "claimName: copy\n      inuse: Wait");
    assert_eq!(
        refused(&text),
        "the MirrorJob is invalid:\n  line 13: spec.destination.persistentVolumeClaim.inuse: is not a \
         known field; did you mean `inUse`?"
    );
}

#[test]
fn an_unknown_field_that_resembles_nothing_gets_the_list_of_fields() {
    let text = GOOD.replace("spec:\n", "spec:\n  deletion:\n    force: true\n");
    assert_eq!(
        refused(&text),
        "the MirrorJob is invalid:\n  line 7: spec.deletion.force: is not a known field; the fields \
         here are allowEmptySource, maxDelete"
    );
}

#[test]
fn unknown_fields_are_found_at_the_top_in_metadata_and_in_kubernetes_own_types() {
    let text = GOOD
        .replace("kind:", "specs: 1\nkind:")
        .replace("metadata:\n", "metadata:\n  lables: {}\n")
        .replace(
            "spec:\n",
            "spec:\n  mover: {tolerations: [{operater: Exists}]}\n",
        );
    let message = refused(&text);
    for part in [
        "line 2: specs: is not a known field; did you mean `spec`?",
        "line 5: metadata.lables: is not a known field; did you mean `labels`?",
        "line 8: spec.mover.tolerations[0].operater: is not a known field; did you mean `operator`?",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn two_sources_are_refused_by_name() {
    let text = GOOD.replace(
        "  source:\n",
        "  source:\n    hostPath: {nodeName: n1, path: /}\n",
    );
    assert_eq!(
        refused(&text),
        "the MirrorJob is invalid:\n  line 7: spec.source: has both persistentVolumeClaim and \
         hostPath; give exactly one of persistentVolumeClaim, hostPath"
    );
}

#[test]
fn no_destination_is_refused_with_the_choices() {
    let text = GOOD.replace(
        "    persistentVolumeClaim:\n      claimName: copy\n",
        "    {}\n",
    );
    assert_eq!(
        refused(&text),
        "the MirrorJob is invalid:\n  line 10: spec.destination: names nothing; give exactly one of \
         persistentVolumeClaim, hostPath, nodes"
    );
}

#[test]
fn a_missing_operation_is_refused_with_the_choices() {
    assert_eq!(
        refused(&GOOD.replace("  operation: Mirror\n", "")),
        "the MirrorJob is invalid:\n  line 5: spec.operation: is missing; add `operation:` with one of \
         Mirror, Copy"
    );
}

#[test]
fn missing_parents_are_named() {
    let text = "apiVersion: blit.dev/v1alpha1\nkind: MirrorJob\n";
    let message = refused(text);
    assert!(
        message.contains("spec: is missing; add `spec:`"),
        "{message}"
    );
    assert!(
        message.contains("metadata: is missing; add `metadata:`"),
        "{message}"
    );
    let message = refused(&GOOD.replace("  name: nightly", "  namespace: a"));
    assert!(
        message.contains("line 3: metadata.name: is missing; add `name:`"),
        "{message}"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_the_right_form() {
    let with = |from: &str, to: &str| refused(&GOOD.replace(from, to));
    assert_eq!(
        with("operation: Mirror", "operation: Move"),
        "the MirrorJob is invalid:\n  line 6: spec.operation: is `Move`; write one of Mirror, Copy"
    );
    let message = with("claimName: raw", "claimName: 2024");
    assert!(
        message.contains("claimName: is `2024`; write it in quotes: \"2024\""),
        "{message}"
    );
    let message = with("claimName: raw", "claimName: off");
    assert!(
        message.contains("claimName: is `false`; put it in quotes"),
        "{message}"
    );
    let message = with("spec:\n", "spec:\n  dryRun: 'true'\n");
    assert!(
        message.contains("spec.dryRun: is `true`; write true or false"),
        "{message}"
    );
    let message = with("spec:\n", "spec:\n  backoffLimit: many\n");
    assert!(
        message.contains("is `many`; write a whole number without quotes"),
        "{message}"
    );
    let message = with("spec:\n", "spec:\n  filters: {exclude: a}\n");
    assert!(
        message.contains("spec.filters: is `(a map)`; write items below it"),
        "{message}"
    );
}

#[test]
fn the_bounds_of_the_schema_are_kept() {
    let with = |line: &str| refused(&GOOD.replace("spec:\n", &format!("spec:\n  {line}\n")));
    let message = with("backoffLimit: -1");
    assert!(
        message.contains("spec.backoffLimit: is -1; write at least 0"),
        "{message}"
    );
    let message = with("backoffLimit: 3000000000");
    assert!(
        message.contains("is 3000000000; write at most 2147483647"),
        "{message}"
    );
    let message = with(&format!("filters: [{}]", "{exclude: a},".repeat(257)));
    assert!(
        message.contains("spec.filters: has 257 items; give at most 256"),
        "{message}"
    );
    let message = with(&format!("filters: [{{exclude: {}}}]", "a".repeat(4097)));
    assert!(
        message.contains("spec.filters[0].exclude: has 4097 characters"),
        "{message}"
    );
    let message = with("filters: [{exclude: ''}]");
    assert!(
        message.contains("exclude: is too short; write at least 1 character"),
        "{message}"
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = GOOD
        .replace("operation: Mirror", "operation: Move")
        .replace("raw", "1");
    assert_eq!(refused(&text).lines().count(), 3);
}

#[test]
fn another_kind_is_refused_before_its_fields_are_read() {
    let pod = "apiVersion: v1\nkind: Pod\nspec: {containers: []}\n";
    assert_eq!(
        refused(pod),
        "line 2: kind is `Pod`, not `MirrorJob`; only a MirrorJob can be run"
    );
    assert_eq!(
        refused("a: 1"),
        "line 1: kind is `(missing)`, not `MirrorJob`; only a MirrorJob can be run"
    );
}

#[test]
fn another_version_is_refused_with_the_one_that_is_known() {
    assert_eq!(
        refused(&GOOD.replace("v1alpha1", "v1")),
        "line 1: apiVersion is `blit.dev/v1`; this version of blit reads `blit.dev/v1alpha1`"
    );
}

#[test]
fn what_is_no_single_document_is_refused() {
    assert!(refused("").starts_with("the manifest is empty"));
    assert!(refused("---\n# nothing\n").starts_with("the manifest is empty"));
    assert!(
        refused(&format!("{GOOD}---\n{GOOD}"))
            .starts_with("the manifest holds 2 documents; give one")
    );
    assert!(parse_manifest(&format!("---\n{GOOD}---\n")).is_ok());
}

#[test]
fn broken_yaml_is_refused_with_its_place() {
    let message = refused("kind: MirrorJob\nspec: [1\n");
    assert!(
        message.starts_with("the manifest is not valid YAML: "),
        "{message}"
    );
    assert!(message.contains("line"), "{message}");
    let message = refused(&GOOD.replace("kind:", "kind: MirrorJob\nkind:"));
    assert!(
        message.contains("line 3") && message.contains("kind"),
        "{message}"
    );
}

#[test]
fn json_is_yaml_too() {
    let job = parse_manifest(GOOD).unwrap();
    let json = serde_json::to_string_pretty(&job).unwrap();
    assert_eq!(parse_manifest(&json).unwrap(), job);
}

#[test]
fn a_broken_rule_is_shown_with_its_line() {
    let text = GOOD.replace("claimName: raw", "claimName: raw\n      path: data/..");
    assert!(parse_manifest(&text).is_ok());
    assert_eq!(
        load_manifest(&text).unwrap_err().to_string(),
        "the MirrorJob is invalid:\n  line 10: spec.source.persistentVolumeClaim.path: `data/..` is not \
         a plain absolute path; write an absolute path without `..`, `.` or empty components"
    );
    assert!(load_manifest(GOOD).is_ok());
}
