//! One thing that is to be said about a job, and how it is printed. Pure.

use crate::kubectl::text::{Line, Style, Text};

/// Something to say: what it is, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// One sentence.
    pub(super) title: String,
    /// How serious it is.
    pub(super) style: Style,
    /// What it follows from.
    pub(super) because: Vec<String>,
    /// What to do, in words.
    pub(super) remedy: Option<String>,
    /// Commands that help, each with what it is for.
    pub(super) commands: Vec<String>,
}

impl Finding {
    /// Begins a finding.
    pub(super) fn new(style: Style, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            style,
            because: Vec::new(),
            remedy: None,
            commands: Vec::new(),
        }
    }

    /// Adds what it follows from. Nothing is said twice.
    pub(super) fn because(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() && !self.because.contains(&text) {
            self.because.push(text);
        }
        self
    }

    /// Adds several things that it follows from.
    pub(super) fn because_all(self, texts: impl IntoIterator<Item = String>) -> Self {
        texts.into_iter().fold(self, Self::because)
    }

    /// Says what to do.
    pub(super) fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(text.into());
        self
    }

    /// Adds a command that helps.
    pub(super) fn command(mut self, command: impl Into<String>) -> Self {
        let command = command.into();
        if !self.commands.contains(&command) {
            self.commands.push(command);
        }
        self
    }
}

/// Returns findings as numbered sections.
pub(super) fn sections(findings: &[Finding]) -> Text {
    let mut text = Text::default();
    for (at, finding) in findings.iter().enumerate() {
        text.gap();
        let number = format!("{}. ", at + 1);
        text.push(
            Line::hanging(number.len())
                .plain(&number)
                .and(&finding.title, finding.style),
        );
        for cause in finding.because.iter().flat_map(|cause| cause.lines()) {
            text.push(Line::hanging(3).plain("   ").plain(cause));
        }
        if let Some(remedy) = &finding.remedy {
            text.push(
                Line::hanging(3)
                    .plain("   ")
                    .and("What to do: ", Style::Strong)
                    .plain(remedy),
            );
        }
        for command in &finding.commands {
            text.push(Line::hanging(8).plain("      ").and(command, Style::Dim));
        }
    }
    text
}
