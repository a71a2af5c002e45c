//! What a client asks a daemon to do with what it pushes, as the engine's options and as a message. Pure.

use std::sync::Arc;

use blit_engine::entry::is_valid_name;
use blit_engine::filter::{Action, Filters, Pattern, Rule};
use blit_engine::run::{Existing, Operation, Options, OwnerMap};
use blit_proto::v2::{FilterRule, PushAsk};

use crate::wire::Violation;

/// Most rules of selection that are taken.
const RULES: usize = 10_000;

/// Longest pattern that is taken, in bytes.
const PATTERN_BYTES: usize = 4096;

/// Longest bound on deletions, in characters.
const BOUND_BYTES: usize = 24;

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Path below the root of the daemon, as it was written.
    pub path: Vec<u8>,
    /// How to run. What only the daemon decides is not carried: flushing to disk, threads, its own limits.
    pub options: Options,
    /// Send an event for every entry that is changed.
    pub entries: bool,
    /// The source is one file.
    pub single_file: bool,
    /// Of one file: the path is that of a directory to put it in.
    pub into_directory: bool,
    /// Of one file: its own name.
    pub file_name: Vec<u8>,
}

impl Ask {
    /// Makes the message.
    pub(crate) fn to_wire(&self) -> PushAsk {
        let Options {
            operation,
            max_delete,
            allow_empty_source,
            checksum,
            dry_run,
            filters,
            delete_excluded,
            existing,
            owner,
            strict,
            verify,
            ..
        } = &self.options;
        let filters = filters.rules().iter().map(|rule| FilterRule {
            exclude: rule.action == Action::Exclude,
            pattern: rule.pattern.text().to_vec(),
        });
        PushAsk {
            path: self.path.clone(),
            mirror: *operation == Operation::Mirror,
            max_delete: max_delete.map_or_else(String::new, |bound| bound.to_string()),
            allow_empty_source: *allow_empty_source,
            checksum: *checksum,
            dry_run: *dry_run,
            filters: filters.collect(),
            delete_excluded: *delete_excluded,
            existing: existing.only,
            ignore_existing: existing.ignore,
            update: existing.update,
            uid: owner.uid,
            gid: owner.gid,
            strict: *strict,
            entries: self.entries,
            into_directory: self.into_directory,
            file_name: self.file_name.clone(),
            verify: *verify,
        }
    }

    /// Reads the message; `single_file` stands beside it.
    pub(crate) fn from_wire(message: PushAsk, single_file: bool) -> Result<Self, Violation> {
        if message.filters.len() > RULES {
            return Err(Violation::new("a push has too many rules of selection"));
        }
        let rule = |rule: FilterRule| {
            if rule.pattern.len() > PATTERN_BYTES {
                return Err(Violation::new("a pattern is too long"));
            }
            let pattern = Pattern::new(&rule.pattern);
            let pattern = pattern.map_err(|error| Violation::new(error.to_string()))?;
            let action = match rule.exclude {
                true => Action::Exclude,
                false => Action::Include,
            };
            Ok(Rule { action, pattern })
        };
        let rules = message.filters.into_iter().map(rule);
        let filters = Filters::new(rules.collect::<Result<_, _>>()?);
        let bound = message.max_delete;
        if bound.len() > BOUND_BYTES {
            return Err(Violation::new("a bound on deletions is too long"));
        }
        let max_delete = match bound.as_str() {
            "" => None,
            bound => Some(bound.parse().map_err(|_| {
                Violation::new("a bound on deletions is neither a number nor a share")
            })?),
        };
        if single_file && !is_valid_name(&message.file_name) {
            return Err(Violation::new("the name of a file is none"));
        }
        let options = Options {
            operation: match message.mirror {
                true => Operation::Mirror,
                false => Operation::Copy,
            },
            max_delete,
            allow_empty_source: message.allow_empty_source,
            checksum: message.checksum,
            dry_run: message.dry_run,
            filters: Arc::new(filters),
            delete_excluded: message.delete_excluded,
            existing: Existing {
                only: message.existing,
                ignore: message.ignore_existing,
                update: message.update,
            },
            owner: OwnerMap {
                uid: message.uid,
                gid: message.gid,
            },
            strict: message.strict,
            verify: message.verify,
            ..Options::default()
        };
        Ok(Self {
            path: message.path,
            options,
            entries: message.entries,
            single_file,
            into_directory: message.into_directory,
            file_name: message.file_name,
        })
    }
}

#[cfg(test)]
mod tests;
