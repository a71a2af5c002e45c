//! Manifests that were altered on purpose, or are no manifests at all: whatever a file holds, it is read or refused, and
//! what is read has every field that was written.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use blit_crds::arguments::{self, CONTROL_PORT, DATA_PORT, MoverContext};
use blit_crds::{ManifestError, MirrorJob, load_manifest, parse_manifest, to_yaml};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// One that names every part of a spec that can be asked for.
const FULL: &str = "\
apiVersion: blit.dev/v1alpha1
kind: MirrorJob
metadata: {name: full, namespace: ml, labels: {a: b}, annotations: {c: d}}
spec:
  operation: Mirror
  source: {persistentVolumeClaim: {claimName: raw, path: /a, readOnly: true}}
  destination:
    persistentVolumeClaim:
      claimName: copy
      path: /b
      inUse: Colocate
      template: {labels: {a: b}, annotations: {c: d}, storageClassName: fast, accessModes: [ReadWriteOnce], storage: 10Gi}
  compare: Checksum
  verify: Checksum
  filters: [{exclude: \"*.tmp\"}, {include: a}]
  deletion: {maxDelete: 10%, allowEmptySource: true}
  dryRun: true
  transport: {kind: TCP, fallback: Deny, encryption: All}
  mover:
    podSecurity: Baseline
    resources: {requests: {cpu: 100m}, limits: {memory: 512Mi}}
    nodeSelector: {disk: ssd}
    affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: []}]}}}
    tolerations: [{key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]
    priorityClassName: low
    serviceAccountName: mover
    imagePullSecrets: [{name: pull}]
    podLabels: {team: ml}
    podAnnotations: {note: x}
    securityContext: {runAsUser: 1000, runAsGroup: 1000, supplementalGroups: [1], fsGroup: 2, seLinuxOptions: {level: s0}}
    source: {podSecurity: Restricted, tolerations: []}
    destination: {nodeSelector: {disk: hdd}, securityContext: {runAsUser: 5}}
  suspend: false
  backoffLimit: 3
  progressDeadlineSeconds: 60
  activeDeadlineSeconds: 3600
  startupDeadlineSeconds: 60
  ttlSecondsAfterFinished: 10
";

/// What a value can be replaced by, in the words of YAML: what other readers trip over.
const WORDS: [&str; 40] = [
    "",
    "~",
    "null",
    "true",
    "no",
    "-1",
    "0",
    "1.5",
    "1e400",
    ".nan",
    "99999999999999999999",
    "-9223372036854775808",
    "0x10",
    "0o17",
    "2147483648",
    "\"\"",
    "\"\\0\"",
    "\"\\u0085\"",
    "'null'",
    "\"1e3\"",
    "\" a \"",
    "\"a\\n b\\n\"",
    "[]",
    "{}",
    "[[]]",
    "{a: {a: {a: a}}}",
    "&a b",
    "*a",
    "<<: *a",
    "!!binary aGk=",
    "!x y",
    "---",
    "...",
    "%YAML 1.2",
    "? a",
    "|",
    ">-",
    "100%",
    "/..",
    "2001-01-01T00:00:00+02:00",
];

/// The manifests that are altered.
static MANIFESTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut paths: Vec<_> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    // Whoever repeats a case finds it again.
    paths.sort();
    let examples = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    examples.chain([FULL.to_owned()]).collect()
});

/// Every field that one of them has, by name, with what it is there.
static FIELDS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    fn collect(value: &Value, known: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    known.push((name.clone(), field.clone()));
                    collect(field, known);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, known)),
            _ => {}
        }
    }
    let mut known: Vec<(String, Value)> = ["<<", "", "status"]
        .map(|name| (name.to_owned(), json!({})))
        .into();
    for text in MANIFESTS.iter() {
        collect(&document(text).unwrap(), &mut known);
    }
    known
});

/// What is done to the text of a manifest. Places are taken modulo what there is.
#[derive(Clone, Debug)]
enum Edit {
    /// Bytes come in.
    Insert(usize, Vec<u8>),
    /// Bytes go.
    Remove(usize, usize),
    /// A line is written twice, the second time elsewhere.
    Repeat(usize, usize),
    /// What a line says behind its colon becomes something else.
    Say(usize, usize),
    /// A line is moved to the right.
    Indent(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<usize>;
    prop_oneof![
        (place(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), 1..40_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (place(), place()).prop_map(|(line, to)| Edit::Repeat(line, to)),
        (place(), place()).prop_map(|(line, word)| Edit::Say(line, word)),
        (place(), 1..5_usize).prop_map(|(line, by)| Edit::Indent(line, by)),
    ]
}

impl Edit {
    fn on(&self, text: String) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let count = lines.len().max(1);
        let mut bytes = text.into_bytes();
        match self {
            Self::Insert(at, more) => {
                let at = at % (bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, most) => {
                let at = at % (bytes.len() + 1);
                let end = bytes.len().min(at + most);
                bytes.drain(at..end);
            }
            Self::Repeat(line, to) => {
                let line = lines.get(line % count).cloned().unwrap_or_default();
                lines.insert(to % count, line);
                bytes = lines.join("\n").into_bytes();
            }
            Self::Say(line, word) => {
                if let Some(line) = lines.get_mut(line % count) {
                    let before = line.split_once(':').map_or("", |(before, _)| before);
                    *line = format!("{before}: {}", WORDS[word % WORDS.len()]);
                }
                bytes = lines.join("\n").into_bytes();
            }
            Self::Indent(line, by) => {
                if let Some(line) = lines.get_mut(line % count) {
                    line.insert_str(0, &" ".repeat(*by));
                }
                bytes = lines.join("\n").into_bytes();
            }
        }
        // A program reads text; what is no text is refused before.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What is done to a node of a manifest that stays well-formed.
#[derive(Clone, Debug)]
enum Graft {
    /// It gets a field that some manifest has.
    Known(usize, usize),
    /// It gets a field that some manifest has, with something else in it.
    Named(usize, usize, Value),
    /// It becomes something else.
    Value(usize, Value),
    /// It loses a field.
    Without(usize, usize),
}

fn graft() -> impl Strategy<Value = Graft> {
    let value = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..5_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~\u{0}-\u{ff}]{0,12}".prop_map(Value::from),
        "[a-z0-9]{1,5}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
        Just(json!({"a": "b"})),
        Just(json!(["ReadWriteMany"])),
    ];
    let place = any::<usize>;
    prop_oneof![
        (place(), place()).prop_map(|(node, field)| Graft::Known(node, field)),
        (place(), place(), value.clone())
            .prop_map(|(node, field, value)| Graft::Named(node, field, value)),
        (place(), value).prop_map(|(node, value)| Graft::Value(node, value)),
        (place(), place()).prop_map(|(node, field)| Graft::Without(node, field)),
    ]
}

impl Graft {
    fn on(&self, document: &mut Value) {
        let (Self::Known(at, _) | Self::Named(at, ..) | Self::Value(at, _) | Self::Without(at, _)) =
            self;
        let mut left = at % nodes(document);
        let Some(node) = node(document, &mut left) else {
            return;
        };
        match (self, node) {
            (Self::Known(_, field), Value::Object(fields)) => {
                let (name, value) = &FIELDS[field % FIELDS.len()];
                fields.insert(name.clone(), value.clone());
            }
            (Self::Named(_, field, value), Value::Object(fields)) => {
                let (name, _) = &FIELDS[field % FIELDS.len()];
                fields.insert(name.clone(), value.clone());
            }
            (Self::Without(_, field), Value::Object(fields)) => {
                let name = fields.keys().nth(field % fields.len().max(1)).cloned();
                fields.remove(&name.unwrap_or_default());
            }
            (Self::Value(_, value) | Self::Named(_, _, value), node) => *node = value.clone(),
            (Self::Known(..) | Self::Without(..), _) => {}
        }
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(nodes).sum(),
        Value::Array(items) => items.iter().map(nodes).sum(),
        _ => 0,
    }
}

/// Returns the node that is so many behind this one.
fn node<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|field| node(field, left)),
        Value::Array(items) => items.iter_mut().find_map(|item| node(item, left)),
        _ => None,
    }
}

/// Returns the only document of a text, as a reader sees it that knows nothing of MirrorJobs.
fn document(text: &str) -> Option<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    documents.next().filter(|_| documents.next().is_none())
}

/// Returns the first field that was written and is not kept, or not as it was written. What is empty says nothing.
fn dropped(written: &Value, kept: Option<&Value>, path: &str) -> Option<String> {
    let none = Map::new();
    match (written, kept) {
        (Value::Null, _) => None,
        (Value::Object(fields), kept) => {
            let kept = match kept {
                Some(Value::Object(kept)) => kept,
                Some(_) => return Some(path.to_owned()),
                None => &none,
            };
            fields
                .iter()
                .find_map(|(name, field)| dropped(field, kept.get(name), &format!("{path}.{name}")))
        }
        (Value::Array(items), None) => (!items.is_empty()).then(|| path.to_owned()),
        (Value::Array(items), Some(Value::Array(kept))) if items.len() == kept.len() => {
            (items.iter().zip(kept))
                .enumerate()
                .find_map(|(n, (item, kept))| dropped(item, Some(kept), &format!("{path}[{n}]")))
        }
        (Value::String(written), Some(Value::String(kept))) if same_time(written, kept) => None,
        // A quantity may be written without quotes.
        (Value::Number(written), Some(Value::String(kept))) if written.to_string() == *kept => None,
        (written, Some(kept)) if written == kept => None,
        _ => Some(path.to_owned()),
    }
}

/// Times are kept, in the way in which Kubernetes writes them.
fn same_time(one: &str, other: &str) -> bool {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    time(one).is_some() && time(one) == time(other)
}

/// Gives a text to everything that a manifest passes, and says what is wrong with what came of it.
fn judge(text: &str) -> Result<(), String> {
    let job = match load_manifest(text) {
        Ok(job) => job,
        Err(error) => return judge_refusal(text, &error),
    };
    let written = document(text).ok_or("what is accepted is no document to others")?;
    let kept = serde_json::to_value(&job).map_err(|error| error.to_string())?;
    if let Some(field) = dropped(&written, Some(&kept), "") {
        return Err(format!("{field} was written and is not in {kept}"));
    }
    let printed = to_yaml(&job).map_err(|error| error.to_string())?;
    match parse_manifest(&printed) {
        Ok(again) if again == job => {}
        other => {
            return Err(format!(
                "printed as\n{printed}\nit is read again as {other:?}"
            ));
        }
    }
    lines(&job).map(drop)
}

/// A refusal says something, and names no line that is not there.
fn judge_refusal(text: &str, error: &ManifestError) -> Result<(), String> {
    if let ManifestError::Invalid(findings) = error {
        // A carriage return ends a line too.
        let count = text.split(['\n', '\r']).count() as u64;
        let lost = findings
            .iter()
            .find(|finding| finding.line.is_some_and(|line| line > count));
        if findings.is_empty() || lost.is_some() {
            return Err(format!("of {count} lines: {findings:?}"));
        }
    }
    (!error.to_string().is_empty())
        .then_some(())
        .ok_or_else(|| "a refusal without a word".to_owned())
}

/// Makes the command lines of a job.
fn lines(job: &MirrorJob) -> Result<Vec<std::ffi::OsString>, String> {
    let context = MoverContext {
        root: "/volume".into(),
        host_prefix: "/".to_owned(),
        identity: "/identity".into(),
        job_uid: "u".to_owned(),
        attempt: 1,
        termination_message: None,
        special_files: false,
    };
    let listen = ([0, 0, 0, 0], CONTROL_PORT).into();
    let spec = &job.spec;
    let failed = |error: arguments::ArgumentError| format!("no command line: {error}");
    let mut lines = arguments::source(spec, &context, "h:1").map_err(failed)?;
    lines.extend(arguments::destination(spec, &context, listen, DATA_PORT).map_err(failed)?);
    lines.extend(arguments::local(spec, &context, &context, listen).map_err(failed)?);
    Ok(lines)
}

#[test]
fn what_is_altered_here_is_accepted_as_it_is() {
    for text in MANIFESTS.iter() {
        assert!(load_manifest(text).is_ok(), "{text}");
        assert_eq!(judge(text), Ok(()), "{text}");
    }
}

#[test]
fn a_field_that_is_lost_on_the_way_is_seen() {
    let written = document(FULL).unwrap();
    let all = nodes(&written);
    let mut seen = 0;
    for n in 1..all {
        let mut kept = written.clone();
        let lost = node(&mut kept, &mut { n }).unwrap();
        let empty = matches!(lost, Value::Array(items) if items.is_empty());
        *lost = json!("something else");
        assert!(dropped(&written, Some(&kept), "").is_some(), "node {n}");
        seen += usize::from(!empty);
    }
    assert!(seen > 60, "{seen} of {all}");
}

#[test]
fn a_manifest_that_is_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        for depth in [100, 10_000, 200_000] {
            let nested = open.repeat(depth) + &close.repeat(depth);
            let within = FULL.replace("suspend: false", &format!("suspend: {nested}"));
            assert!(load_manifest(&nested).is_err(), "{depth} of {open}");
            assert!(load_manifest(&within).is_err(), "{depth} of {open}");
        }
    }
}

#[test]
fn a_manifest_that_unfolds_to_very_much_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let many = format!("*a{}, ", n - 1).repeat(10);
        text.push_str(&format!("a{n}: &a{n} [{many}]\n"));
    }
    assert!(load_manifest(&text).is_err());
    assert!(load_manifest(&(FULL.to_owned() + &text)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(judge(&text), Ok(()));
    }

    #[test]
    fn an_altered_text_is_read_whole_or_refused(which in 0..MANIFESTS.len(), edits in vec(edit(), 1..5)) {
        let text = edits.iter().fold(MANIFESTS[which].clone(), |text, edit| edit.on(text));
        prop_assert_eq!(judge(&text), Ok(()), "{}", text);
    }

    #[test]
    fn an_altered_document_is_read_whole_or_refused(which in 0..MANIFESTS.len(), grafts in vec(graft(), 1..3)) {
        let mut document = document(&MANIFESTS[which]).unwrap();
        grafts.iter().for_each(|graft| graft.on(&mut document));
        let text = serde_json::to_string_pretty(&document).unwrap();
        prop_assert_eq!(judge(&text), Ok(()), "{}", text);
    }
}
