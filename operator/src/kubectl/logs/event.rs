//! One line of a mover's log as a sentence. Pure.
//!
//! Movers write events of schema `blit.events/v1`; anything else, as a panic, and events of kinds that this version
//! does not know, are passed on as they are.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::Value;

use crate::kubectl::text::{Style, bytes, count, counted, duration, rate};

/// Name of the schema that is understood.
const SCHEMA: &str = "blit.events/v1";

/// A line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sentence {
    /// When the mover said it, if it told.
    pub(super) time: Option<Timestamp>,
    /// What it said.
    pub(super) text: String,
    /// How serious it is.
    pub(super) style: Style,
    /// Whether these are figures, which come every second.
    pub(super) is_progress: bool,
}

/// Returns the sentence for a line.
pub(super) fn sentence(line: &str) -> Sentence {
    read(line).unwrap_or_else(|| Sentence {
        time: None,
        text: line.to_owned(),
        style: Style::Plain,
        is_progress: false,
    })
}

fn read(line: &str) -> Option<Sentence> {
    let event: Value = serde_json::from_str(line).ok()?;
    if word(&event, "schema") != Some(SCHEMA) {
        return None;
    }
    let kind = word(&event, "type")?;
    let (text, style) = match kind {
        "start" => (start(&event), Style::Plain),
        "phase" => (phase(word(&event, "phase")?), Style::Plain),
        "progress" => (progress(&event), Style::Dim),
        "entry" => {
            let change = word(&event, "change").unwrap_or("changed");
            (format!("{change} {}", place(&event)), Style::Plain)
        }
        "note" => (note(&event), Style::Plain),
        "withheld" => {
            let reason = word(&event, "reason").unwrap_or_default();
            let text = format!("nothing is deleted below {}: {reason}", place(&event));
            (text, Style::Warn)
        }
        "slow" => {
            let call = word(&event, "call").unwrap_or("a call");
            let text = format!("{call} on {} takes long", place(&event));
            (text, Style::Warn)
        }
        "error" => {
            let message = word(&event, "message").unwrap_or_default();
            let text = match path(&event) {
                Some(path) => format!("error: {path}: {message}"),
                None => format!("error: {message}"),
            };
            (text, Style::Bad)
        }
        "summary" => summary(&event),
        _ => return None,
    };
    Some(Sentence {
        time: word(&event, "time").and_then(|time| time.parse().ok()),
        text,
        style,
        is_progress: kind == "progress",
    })
}

fn start(event: &Value) -> String {
    let version = word(event, "version").unwrap_or("of an unknown version");
    let mut text = format!("blit {version} starts");
    if let Some(operation) = word(event, "operation") {
        text.push_str(&format!(", {operation}"));
    }
    if let Some(source) = word(event, "source") {
        text.push_str(&format!(" from {source}"));
    }
    if let Some(destination) = word(event, "destination") {
        text.push_str(&format!(" to {destination}"));
    }
    if let Some(control) = word(&event["listen"], "control") {
        text.push_str(&format!(", listens on {control}"));
        if let Some(data) = event["listen"]["data"].as_u64() {
            text.push_str(&format!(", data on port {data}"));
        }
    }
    text
}

fn phase(phase: &str) -> String {
    match phase {
        "waiting" => "waits for the other mover".to_owned(),
        "copy" => "lists and copies".to_owned(),
        "delete" => "deletes what the source does not have".to_owned(),
        "finish" => "finishes".to_owned(),
        other => format!("phase {other}"),
    }
}

fn progress(event: &Value) -> String {
    let complete = event["scanComplete"].as_bool().unwrap_or(false);
    let total = |key: &str| event[key].as_i64().filter(|_| complete);
    let (done, files) = (number(event, "bytesDone"), number(event, "filesDone"));
    let mut parts = Vec::new();
    match total("bytesTotal") {
        Some(total) => parts.push(format!("{} of {}", bytes(done), bytes(total))),
        None => parts.push(bytes(done)),
    }
    match total("filesTotal") {
        Some(total) => parts.push(format!(
            "{} of {}",
            count(files),
            counted(total, "entry", "entries")
        )),
        None => parts.push(counted(files, "entry", "entries")),
    }
    for (key, what) in [("filesDeleted", "deleted"), ("filesFailed", "failed")] {
        if number(event, key) > 0 {
            parts.push(format!("{} {what}", count(number(event, key))));
        }
    }
    if let Some(speed) = event["bytesPerSecond"].as_i64() {
        parts.push(rate(speed));
    }
    if let Some(left) = event["etaSeconds"].as_i64().filter(|_| complete) {
        parts.push(format!(
            "{} left",
            duration(SignedDuration::from_secs(left.max(1)))
        ));
    }
    if !complete {
        parts.push("still listing".to_owned());
    }
    parts.join(", ")
}

fn note(event: &Value) -> String {
    let kind = word(event, "kind").unwrap_or("note");
    let message = word(event, "message").unwrap_or_default();
    match path(event) {
        Some(_) => format!("{kind}: {}: {message}", place(event)),
        None => format!("{kind}: {message}"),
    }
}

fn summary(event: &Value) -> (String, Style) {
    let result = word(event, "result").unwrap_or("ended");
    let code = number(event, "exitCode");
    let mut text = match code {
        0 => result.to_owned(),
        code => format!("{result} (exit code {code})"),
    };
    if let Some(message) = word(event, "message") {
        text.push_str(&format!(": {message}"));
    }
    let mut parts = vec![format!(
        "{} copied ({})",
        counted(number(event, "filesCopied"), "entry", "entries"),
        bytes(number(event, "bytesCopied"))
    )];
    let counts = [
        ("filesUnchanged", "unchanged"),
        ("filesDeleted", "deleted"),
        ("filesFailed", "failed"),
        ("unstable", "changed while they were read"),
    ];
    for (key, what) in counts {
        if number(event, key) > 0 {
            parts.push(format!("{} {what}", count(number(event, key))));
        }
    }
    let seconds = event["durationSeconds"].as_f64().unwrap_or_default();
    text.push_str(&format!("; {} in {seconds:.1} s", parts.join(", ")));
    (text, if code == 0 { Style::Good } else { Style::Bad })
}

/// The path of an event, or the root.
fn place(event: &Value) -> String {
    path(event)
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| "the root".to_owned())
}

/// The path of an event. Bytes that are not UTF-8 are shown as escapes.
fn path(event: &Value) -> Option<String> {
    if let Some(path) = word(event, "path") {
        return Some(path.to_owned());
    }
    let encoded = event.get("pathBytes")?.clone();
    let ByteString(raw) = serde_json::from_value(encoded).ok()?;
    let mut path = String::new();
    for chunk in raw.utf8_chunks() {
        path.push_str(chunk.valid());
        for byte in chunk.invalid() {
            path.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Some(path)
}

fn word<'a>(event: &'a Value, key: &str) -> Option<&'a str> {
    event.get(key)?.as_str()
}

fn number(event: &Value, key: &str) -> i64 {
    event[key].as_i64().unwrap_or_default()
}
