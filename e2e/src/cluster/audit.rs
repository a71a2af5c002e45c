//! The audit log of the API server: who asked for what, and was it granted.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use super::env::Env;
use super::error::{Error, Result};

/// The log, from some moment on.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// A request that the API server answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// User name.
    pub user: String,
    /// `get`, `list`, `patch` …
    pub verb: String,
    /// API group, empty for the core.
    pub group: String,
    /// Resource, with `/subresource` if there is one; the path of a request that is for no resource.
    pub resource: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Name of the object, empty for a collection.
    pub name: String,
    /// Status code of the answer.
    pub code: u64,
    /// Whether the user had no right to it. Admission answers 403 too, and so does a namespace that ends.
    pub denied: bool,
}

impl Audit {
    /// The whole log.
    pub fn whole(env: &Env) -> Result<Self> {
        Ok(Self {
            path: PathBuf::from(env.get("AUDIT_LOG")?),
            from: 0,
        })
    }

    /// The log from now on.
    pub fn from_now(env: &Env) -> Result<Self> {
        let mut log = Self::whole(env)?;
        let length = std::fs::metadata(&log.path).map_err(Error::io(log.shown()))?;
        log.from = length.len();
        Ok(log)
    }

    /// Returns the answered requests that a filter takes.
    pub fn requests(&self, takes: impl Fn(&Request) -> bool) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path).map_err(Error::io(self.shown()))?;
        file.seek(SeekFrom::Start(self.from))
            .map_err(Error::io(self.shown()))?;
        let mut found = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(Error::io(self.shown()))?;
            // The last line may still be being written.
            let request = serde_json::from_slice(&line).ok().as_ref().and_then(read);
            found.extend(request.filter(&takes));
        }
        Ok(found)
    }

    fn shown(&self) -> String {
        format!("read {}", self.path.display())
    }
}

impl Request {
    /// Whether it changes something, or would.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Reads an event of the stage that has an answer.
fn read(event: &Value) -> Option<Request> {
    let text = |pointer| {
        let value = event.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let stage = text("/stage");
    // A watch is answered when it starts; its end says nothing new.
    if !matches!(stage.as_str(), "ResponseComplete" | "ResponseStarted") {
        return None;
    }
    let mut resource = text("/objectRef/resource");
    let sub = text("/objectRef/subresource");
    if resource.is_empty() {
        resource = text("/requestURI");
    } else if !sub.is_empty() {
        resource = format!("{resource}/{sub}");
    }
    Some(Request {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event.pointer("/responseStatus/code")?.as_u64()?,
        denied: text("/annotations/authorization.k8s.io~1decision") == "forbid",
    })
}

#[cfg(test)]
mod tests;
