//! Which entries a run takes in and which it leaves alone: rules with patterns, as rsync has them.
//!
//! The first rule that matches a path decides; where none does, the entry is taken in. What is left out is
//! treated as if the source did not have it, and at the destination it is protected from deletion. A
//! directory that is left out is left out with all below.
//!
//! Paths are bytes relative to the root of the tree, without a slash at either end. Pure: no file is touched.
//!
//! Non-goals: rules of directories (`dir-merge`), rules that hold for one side only (`hide`, `protect`),
//! modifiers.

mod glob;
mod lines;
mod pattern;

pub use lines::{Line, LinesError, parse_lines, parse_option};
pub use pattern::{Pattern, PatternError};

/// What a rule does with what it matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It belongs to the tree.
    Include,
    /// It does not.
    Exclude,
}

/// An action and what it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// What to do.
    pub action: Action,
    /// With what.
    pub pattern: Pattern,
}

/// Rules in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filters {
    rules: Vec<Rule>,
}

impl Filters {
    /// Takes rules; the first that matches decides.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Puts lines of options and files together: each adds a rule, or takes away all before it.
    pub fn of_lines(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut rules = Vec::new();
        for line in lines {
            match line {
                Line::Rule(rule) => rules.push(rule),
                Line::Clear => rules.clear(),
            }
        }
        Self::new(rules)
    }

    /// Returns the rules in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns true if nothing is ever left out.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns true if the entry at `path` is left out. What is above it has to be asked about first.
    pub fn excludes(&self, path: &[u8], directory: bool) -> bool {
        let first = self
            .rules
            .iter()
            .find(|rule| rule.pattern.matches(path, directory));
        first.is_some_and(|rule| rule.action == Action::Exclude)
    }
}

#[cfg(test)]
mod tests;
