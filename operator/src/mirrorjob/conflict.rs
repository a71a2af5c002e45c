//! Jobs in each other's way: two writers of one place, or a reader of a place that is being written. Pure.
//!
//! A job waits while an older unfinished job, or any whose movers still exist, writes a place that overlaps its destination
//! or its source. Of two jobs the older goes first, so no two wait for each other.

use blit_crds::MirrorJob;
use blit_crds::mirrorjob::{Destination, Source};
use blit_crds::outcome::Reason;
use kube::ResourceExt;

use super::attempt::wait;
use super::placement::Wait;

#[cfg(test)]
mod tests;

/// Another job, as far as its places count.
#[derive(Clone, Debug)]
pub struct Other<'a> {
    /// The job.
    pub job: &'a MirrorJob,
    /// Whether movers of it exist or are about to.
    pub active: bool,
}

/// Returns what a job waits for because of others.
pub fn blocked<'a>(job: &MirrorJob, others: impl IntoIterator<Item = Other<'a>>) -> Option<Wait> {
    let written = place_of_destination(job)?;
    let read = place_of_source(job);
    let mut found: Vec<(bool, &MirrorJob, bool)> = others
        .into_iter()
        .filter(|other| other.job.uid() != job.uid() && is_unfinished_or_active(other))
        .filter(|other| other.active || is_older(other.job, job))
        .filter_map(|other| {
            let theirs = place_of_destination(other.job)?;
            let same_destination = theirs.overlaps(&written);
            (same_destination || theirs.overlaps(&read)).then_some((
                other.active,
                other.job,
                same_destination,
            ))
        })
        .collect();
    // One that is at work first, then the oldest: that is the one to look at.
    found.sort_by_key(|(active, other, _)| (!active, age(other)));
    let (active, other, same_destination) = found.first()?;
    let name = other.name_any();
    let verb = if *active {
        "writes"
    } else {
        "was made earlier and will write"
    };
    let what = if *same_destination {
        format!(
            "{}, which overlaps this destination",
            other.spec.destination
        )
    } else {
        format!("{}, which this job reads", other.spec.destination)
    };
    let hint = if other.spec.suspend {
        format!("; it is suspended: resume it or delete it (kubectl delete mirrorjob {name})")
    } else {
        String::new()
    };
    Some(wait(
        Reason::DestinationBusy,
        format!("MirrorJob {name} {verb} {what}{hint}"),
    ))
}

/// A directory, as far as it can be told without looking.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place<'a> {
    volume: Volume<'a>,
    path: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Volume<'a> {
    Claim(String, &'a str),
    Node(&'a str),
}

impl Place<'_> {
    /// Whether one is the other or below it.
    fn overlaps(&self, other: &Self) -> bool {
        let parts = |path| -> Vec<&str> {
            let parts = str::split(path, '/');
            parts
                .filter(|part| !part.is_empty() && *part != ".")
                .collect()
        };
        let (one, two) = (parts(self.path), parts(other.path));
        let common = one.len().min(two.len());
        self.volume == other.volume && one[..common] == two[..common]
    }
}

fn place_of_destination(job: &MirrorJob) -> Option<Place<'_>> {
    let volume = match &job.spec.destination {
        Destination::PersistentVolumeClaim(claim) => {
            Volume::Claim(job.namespace().unwrap_or_default(), &claim.claim_name)
        }
        Destination::HostPath(host) => Volume::Node(&host.node_name),
        // Refused elsewhere.
        Destination::Nodes(_) => return None,
    };
    Some(Place {
        volume,
        path: job.spec.destination.path(),
    })
}

fn place_of_source(job: &MirrorJob) -> Place<'_> {
    let volume = match &job.spec.source {
        Source::PersistentVolumeClaim(claim) => {
            Volume::Claim(job.namespace().unwrap_or_default(), &claim.claim_name)
        }
        Source::HostPath(host) => Volume::Node(&host.node_name),
    };
    Place {
        volume,
        path: job.spec.source.path(),
    }
}

fn is_unfinished_or_active(other: &Other<'_>) -> bool {
    let status = other.job.status.as_ref();
    other.active
        || (status.is_none_or(|status| status.completion_time.is_none())
            && other.job.metadata.deletion_timestamp.is_none())
}

fn is_older(one: &MirrorJob, two: &MirrorJob) -> bool {
    age(one) < age(two)
}

/// Oldest first. Times of creation have whole seconds only, so the UID decides among jobs that were applied together.
fn age(job: &MirrorJob) -> (Option<jiff::Timestamp>, Option<String>) {
    let created = job.metadata.creation_timestamp.as_ref();
    (created.map(|time| time.0), job.uid())
}
