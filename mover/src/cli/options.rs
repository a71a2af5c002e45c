//! Options that several commands share.

use blit_engine::run::MaxDelete;
use clap::{ArgAction, Args, ValueEnum};

use crate::logging;
use crate::report::itemized::Itemized;
use crate::report::json::JsonLines;
use crate::report::output::Outputs;
use crate::report::terminal::{Screen, Style, Terminal};

/// Heading for what almost nobody needs.
pub const ADVANCED: &str = "Advanced / Niche";

/// When to show progress on the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ProgressMode {
    /// On a terminal
    #[default]
    Auto,
    /// Also where stderr is a file or a pipe: a line every few seconds
    Always,
    /// Not at all
    Never,
}

/// What is said, and where.
#[derive(Args, Clone, Debug, Default)]
pub struct Output {
    /// Print events as JSON, one object a line, on stdout (schema blit.events/v1)
    #[arg(long)]
    pub json: bool,

    /// Show progress on stderr
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub progress: ProgressMode,

    /// Say nothing but errors
    #[arg(long)]
    pub quiet: bool,

    /// Say more on stderr; twice for debugging
    #[arg(short, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Output {
    /// Makes the screen, and sends diagnostics to it.
    pub fn screen(&self) -> Screen {
        let never = self.quiet || self.progress == ProgressMode::Never;
        let screen = Screen::new(Style::choose(self.progress == ProgressMode::Always, never));
        logging::init(&screen, self.verbose);
        screen
    }

    /// Makes the outputs of the run `run_id`: the screen, and with `--json` stdout.
    pub fn outputs(&self, screen: &Screen, run_id: &str, preview: &Preview) -> Outputs {
        let terminal = Terminal::new(screen.clone(), self.quiet, self.verbose > 0);
        let outputs = Outputs::default().with(terminal);
        if !self.json {
            let itemized = preview.itemize || (preview.dry_run && !self.quiet);
            return match itemized {
                true => outputs.with(Itemized::new(screen.clone())),
                false => outputs,
            };
        }
        outputs.with(JsonLines::new(
            Box::new(std::io::stdout()),
            run_id.to_owned(),
            true,
        ))
    }
}

/// A look at what would be done, or was.
#[derive(Args, Clone, Debug, Default)]
pub struct Preview {
    /// Change nothing; print what would be done, and end with the exit code that the run would have
    ///
    /// Prints what --itemize prints, deletions included, unless --quiet or --json is given. What only
    /// trying can show is not foreseen: a full destination, a file that may not be written.
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Print a line on stdout for every change, in the format of rsync's --itemize-changes
    ///
    /// With --json, every `entry` event has the same letters instead.
    #[arg(short, long)]
    pub itemize: bool,
}

/// Limits of deletion; only `mirror` deletes.
#[derive(Args, Clone, Debug, Default)]
pub struct Deletion {
    /// Refuse to delete more than N entries, or N% of the destination
    ///
    /// All or nothing: with more deletions than this, nothing is deleted (exit code 12). 0 deletes
    /// nothing, 100% removes the limit. Without the option the limit is 50% once the destination holds
    /// more than 100 entries, and the destination must have a name in common with the source.
    #[arg(long, value_name = "N|N%")]
    pub max_delete: Option<MaxDelete>,

    /// Mirror an empty source, which deletes everything at the destination
    #[arg(long)]
    pub allow_empty_source: bool,

    /// Delete at the destination what is excluded, instead of protecting it
    #[arg(long)]
    pub delete_excluded: bool,
}

impl Deletion {
    /// Returns true if one of the options was given.
    pub fn is_given(&self) -> bool {
        self.max_delete.is_some() || self.allow_empty_source || self.delete_excluded
    }
}

/// What almost nobody needs.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = ADVANCED)]
pub struct Advanced {
    /// Flush the destination to disk before success is reported, and before the first deletion
    #[arg(long)]
    pub fsync: bool,

    /// Use this many worker threads
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,

    /// Use at most this many threads
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_threads: Option<u16>,
}

impl Advanced {
    /// Returns the number of workers to use, if one was asked for.
    pub fn worker_limit(&self) -> Option<usize> {
        match (self.workers, self.max_threads) {
            (Some(workers), Some(most)) => Some(workers.min(most).into()),
            (one, other) => one.or(other).map(usize::from),
        }
    }
}

/// Options of Blit v1 and of rsync that ask for what Blit does anyway. They are accepted and do nothing.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = ADVANCED)]
pub struct Accepted {
    /// Accepted and without effect, as rsync's -a -r -l -p -t -o -g -D -H -A -X -S -W --numeric-ids
    #[arg(long, overrides_with = "mir", hide_short_help = true)]
    pub mir: bool,
    /// Accepted and without effect
    #[arg(long, overrides_with = "ludicrous_speed", hide_short_help = true)]
    pub ludicrous_speed: bool,
    /// Archive mode
    #[arg(short = 'a', action = ArgAction::Count, hide = true)]
    pub archive: u8,
    /// Recursion
    #[arg(short = 'r', action = ArgAction::Count, hide = true)]
    pub recursive: u8,
    /// Symbolic links
    #[arg(short = 'l', action = ArgAction::Count, hide = true)]
    pub links: u8,
    /// Permissions
    #[arg(short = 'p', action = ArgAction::Count, hide = true)]
    pub perms: u8,
    /// Times
    #[arg(short = 't', action = ArgAction::Count, hide = true)]
    pub times: u8,
    /// Owners
    #[arg(short = 'o', action = ArgAction::Count, hide = true)]
    pub owner: u8,
    /// Groups
    #[arg(short = 'g', action = ArgAction::Count, hide = true)]
    pub group: u8,
    /// Devices and special files
    #[arg(short = 'D', action = ArgAction::Count, hide = true)]
    pub devices: u8,
    /// Hard links
    #[arg(short = 'H', action = ArgAction::Count, hide = true)]
    pub hard_links: u8,
    /// ACLs
    #[arg(short = 'A', action = ArgAction::Count, hide = true)]
    pub acls: u8,
    /// Extended attributes
    #[arg(short = 'X', action = ArgAction::Count, hide = true)]
    pub xattrs: u8,
    /// Sparse files
    #[arg(short = 'S', action = ArgAction::Count, hide = true)]
    pub sparse: u8,
    /// Whole files
    #[arg(short = 'W', action = ArgAction::Count, hide = true)]
    pub whole_file: u8,
    /// Owners by number
    #[arg(long, action = ArgAction::Count, hide = true)]
    pub numeric_ids: u8,
}
