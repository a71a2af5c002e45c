//! `retry`: a new job from a failed one.
//!
//! The new one is named after the first of the family, which an annotation remembers: NAME, NAME-r1, NAME-r2. It is
//! made from the object of the API server, so that fields of newer versions are kept.

use std::collections::BTreeMap;

use blit_crds::mirrorjob::Phase;
use kube::api::{DynamicObject, ObjectMeta, PostParams};
use serde_json::Value;

use super::cli::RetryArgs;
use super::error::PluginError;
use super::output::{Output, note};
use super::session::{SINGULAR, Session, bare_name};

/// Annotation with the name of the first job of the family.
const RETRY_OF: &str = "blit.dev/retry-of";
/// What kubectl applied to the failed one; on the new one it would be wrong.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest name of a MirrorJob, as in its schema.
const MAX_NAME: usize = 63;
/// Names that are tried, should others make jobs at the same moment.
const TRIES: u32 = 10;

/// Carries out `retry`.
///
/// # Errors
/// Fails when the job has not failed, or when no new one can be made.
pub(super) async fn run(
    session: &Session,
    output: Output,
    args: &RetryArgs,
) -> Result<(), PluginError> {
    let found = session.job(bare_name(&args.name)).await?;
    let name = found.job.metadata.name.clone().unwrap_or_default();
    let phase = found
        .job
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default();
    if phase != Phase::Failed {
        let remedy = match phase {
            Phase::Complete => "make a new MirrorJob to mirror again",
            _ => "it goes on by itself; `kubectl blit explain` says what it waits for",
        };
        return Err(PluginError::NotFailed {
            name,
            phase: format!("{phase:?}"),
            remedy,
        });
    }
    let names = session.list(false).await?.into_iter();
    let names: Vec<String> = names.filter_map(|object| object.metadata.name).collect();
    let family = family(&found.object);
    let first = next_number(&family, &names);
    for number in first..first + TRIES {
        let next = again(&found.object, &family, number);
        match session
            .objects()
            .create(&PostParams::default(), &next)
            .await
        {
            Ok(made) => {
                let made = made.metadata.name.unwrap_or_default();
                output.raw(&format!("{SINGULAR}/{made} created\n"))?;
                note(&format!(
                    "Follow it: kubectl blit status {made} -n {}",
                    session.namespace
                ));
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(PluginError::NoFreeName(family))
}

/// The name that the jobs of a family have in common.
fn family(object: &DynamicObject) -> String {
    let annotations = object.metadata.annotations.as_ref();
    let first = annotations.and_then(|annotations| annotations.get(RETRY_OF));
    let name = first.or(object.metadata.name.as_ref());
    name.cloned().unwrap_or_default()
}

/// The number after the highest that is in use.
fn next_number(family: &str, names: &[String]) -> u32 {
    let used = names.iter().filter_map(|name| {
        let (head, number) = name.rsplit_once("-r")?;
        let number: u32 = number.parse().ok()?;
        (name_of(family, number) == *name && !head.is_empty()).then_some(number)
    });
    used.max().map_or(1, |last| last.saturating_add(1))
}

/// The name of a member of a family, cut to what a MirrorJob may have.
fn name_of(family: &str, number: u32) -> String {
    let tail = format!("-r{number}");
    let room = MAX_NAME.saturating_sub(tail.len());
    let head: String = family.chars().take(room).collect();
    format!("{}{tail}", head.trim_end_matches(['-', '.']))
}

/// The job to make.
fn again(failed: &DynamicObject, family: &str, number: u32) -> DynamicObject {
    let mut annotations = failed.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    annotations.insert(RETRY_OF.to_owned(), family.to_owned());
    let mut spec = failed.data.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.insert("suspend".to_owned(), Value::Bool(false));
    }
    let labels: Option<BTreeMap<String, String>> = failed.metadata.labels.clone();
    DynamicObject {
        types: failed.types.clone(),
        metadata: ObjectMeta {
            name: Some(name_of(family, number)),
            namespace: failed.metadata.namespace.clone(),
            labels,
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        data: serde_json::json!({ "spec": spec }),
    }
}

#[cfg(test)]
mod tests;
