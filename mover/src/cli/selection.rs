//! Options that say which entries are meant, and the rules that follow from them.
//!
//! Rules count in the order in which their options were written, whatever the options are; so they are taken
//! from the positions of the arguments.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blit_engine::filter::{
    Action, Filters, Line, LinesError, Pattern, PatternError, Rule, parse_lines, parse_option,
};
use blit_engine::fs::dir::display_path;
use blit_engine::run::{Existing, Options, OwnerMap};
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use nix::unistd::{Group, User};

/// Heading of these options.
const HEADING: &str = "Selection";

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// The value of an option.
    #[error("--{option}: {error}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What is wrong.
        error: PatternError,
    },
    /// A file that cannot be read.
    #[error("cannot read the rules in `{}`: {error}; check the path", display_path(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that holds something else than rules.
    #[error("`{}`, {error}", display_path(.path))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: LinesError,
    },
}

/// What is left out, in the order of the options.
#[derive(Clone, Debug, Default)]
pub struct FilterArgs(Vec<(&'static str, OsString)>);

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
struct Written {
    /// Leave out what matches this pattern, and protect it at the destination
    ///
    /// Patterns are rsync's: `*.tmp` a name at any depth, `/cache` at the top only, `build/` a directory,
    /// `**` over slashes. Of all rules the first that matches decides, in the order of the options.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,

    /// Take in what matches this pattern, whatever a later option excludes
    ///
    /// Alone it excludes nothing: what no rule matches is taken in.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<OsString>,

    /// Read patterns to exclude from a file, one a line
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<OsString>,

    /// Read patterns to include from a file, one a line
    #[arg(long, value_name = "FILE")]
    include_from: Vec<OsString>,

    /// Read rules from a file, one a line: `- PATTERN`, `+ PATTERN`, or `!` to forget those before
    #[arg(long, value_name = "FILE")]
    filter_from: Vec<OsString>,
}

const OPTIONS: [(&str, &str); 5] = [
    ("exclude", "exclude"),
    ("include", "include"),
    ("exclude_from", "exclude-from"),
    ("include_from", "include-from"),
    ("filter_from", "filter-from"),
];

impl Args for FilterArgs {
    fn augment_args(command: Command) -> Command {
        Written::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Written::augment_args_for_update(command)
    }
}

impl FromArgMatches for FilterArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut written = Vec::new();
        for (id, option) in OPTIONS {
            let places = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<OsString>(id).into_iter().flatten();
            written.extend(
                places
                    .zip(values)
                    .map(|(at, value)| (at, option, value.clone())),
            );
        }
        written.sort_by_key(|(at, ..)| *at);
        let ordered = written
            .into_iter()
            .map(|(_, option, value)| (option, value));
        Ok(Self(ordered.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl FilterArgs {
    /// Returns the rules as a person writes them, reading the files that hold some.
    pub fn rules(&self) -> Result<Filters, SelectionError> {
        self.parsed(parse_option)
    }

    /// Returns the rules of a mover, whose patterns are what a manifest says: nothing is read into them.
    pub fn exact(&self) -> Result<Filters, SelectionError> {
        self.parsed(|text, action| {
            Pattern::new(text).map(|pattern| Line::Rule(Rule { action, pattern }))
        })
    }

    fn parsed(
        &self,
        parse: impl Fn(&[u8], Action) -> Result<Line, PatternError>,
    ) -> Result<Filters, SelectionError> {
        let mut lines = Vec::new();
        for (option, value) in &self.0 {
            let one = |action| {
                parse(value.as_bytes(), action)
                    .map_err(|error| SelectionError::Option { option, error })
            };
            match *option {
                "exclude" => lines.push(one(Action::Exclude)?),
                "include" => lines.push(one(Action::Include)?),
                "exclude-from" => lines.extend(file(value, Some(Action::Exclude))?),
                "include-from" => lines.extend(file(value, Some(Action::Include))?),
                _ => lines.extend(file(value, None)?),
            }
        }
        Ok(Filters::of_lines(lines))
    }
}

fn file(path: &OsString, default: Option<Action>) -> Result<Vec<Line>, SelectionError> {
    let path = Path::new(path);
    let text = std::fs::read(path).map_err(|error| SelectionError::Read {
        path: path.to_owned(),
        error,
    })?;
    parse_lines(&text, default).map_err(|error| SelectionError::File {
        path: path.to_owned(),
        error,
    })
}

/// Which entries are meant.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub struct Selection {
    /// What is left out.
    #[command(flatten)]
    pub filters: FilterArgs,

    /// Change only what exists at the destination; make nothing new
    #[arg(long)]
    pub existing: bool,

    /// Leave what exists at the destination as it is; make only what is new
    #[arg(long)]
    pub ignore_existing: bool,

    /// Leave a file as it is that is newer at the destination
    #[arg(long)]
    pub update: bool,

    /// Leave out what is on other file systems, mounted below the source
    ///
    /// The directories they are mounted on are kept, and nothing is deleted below them.
    #[arg(short = 'x', long)]
    pub one_file_system: bool,

    /// Give everything this owner and group instead of the source's: USER:GROUP, USER or :GROUP
    #[arg(long, value_name = "USER:GROUP", value_parser = owner)]
    pub chown: Option<OwnerMap>,

    /// End with exit code 10 if anything could not be kept, such as an owner
    #[arg(long)]
    pub strict: bool,
}

impl Selection {
    /// Adds the selection to the options of a run.
    pub fn add_to(&self, options: Options) -> Result<Options, SelectionError> {
        Ok(Options {
            filters: Arc::new(self.filters.rules()?),
            existing: Existing {
                only: self.existing,
                ignore: self.ignore_existing,
                update: self.update,
            },
            owner: self.chown.unwrap_or_default(),
            strict: self.strict,
            ..options
        })
    }
}

/// Parses an owner and a group, by name or number.
fn owner(text: &str) -> Result<OwnerMap, String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    if user.is_empty() && group.is_empty() {
        return Err("names neither an owner nor a group; write USER:GROUP".to_owned());
    }
    let unknown = |kind: &str, name: &str| {
        format!("there is no {kind} `{name}` on this host; write a name or a number")
    };
    let user_id = || match user.parse() {
        Ok(number) => Ok(number),
        Err(_) => match User::from_name(user) {
            Ok(Some(found)) => Ok(found.uid.as_raw()),
            _ => Err(unknown("user", user)),
        },
    };
    let group_id = || match group.parse() {
        Ok(number) => Ok(number),
        Err(_) => match Group::from_name(group) {
            Ok(Some(found)) => Ok(found.gid.as_raw()),
            _ => Err(unknown("group", group)),
        },
    };
    Ok(OwnerMap {
        uid: (!user.is_empty()).then(user_id).transpose()?,
        gid: (!group.is_empty()).then(group_id).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn an_owner_is_named_by_name_or_number() {
        let both = owner("root:7").unwrap();
        assert_eq!((both.uid, both.gid), (Some(0), Some(7)));
        let group = owner(":7").unwrap();
        assert_eq!((group.uid, group.gid), (None, Some(7)));
        let user = owner("5").unwrap();
        assert_eq!((user.uid, user.gid), (Some(5), None));
        assert!(owner(":").is_err());
        assert!(
            owner("no-such-user")
                .unwrap_err()
                .contains("no user `no-such-user`")
        );
    }
}
