//! Figures in the text format of OpenMetrics.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::{Error, Result};

/// Patience with one scrape.
const SCRAPE: Duration = Duration::from_secs(10);

/// What one scrape returned.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// The text.
    pub text: String,
    /// The samples in it.
    pub samples: Vec<Sample>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Metrics {
    /// Reads the figures at a path of a plain HTTP server.
    pub async fn scrape(address: &str, port: u16, path: &str) -> Result<Self> {
        let what = format!("http://{address}:{port}{path}");
        let get = async {
            let mut stream = TcpStream::connect((address, port)).await?;
            let request =
                format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let answer = match tokio::time::timeout(SCRAPE, get).await {
            Ok(answer) => answer,
            Err(_) => Err(late()),
        };
        let answer = answer.map_err(Error::io(&what))?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(Self::parse(body)),
            _ => Err(Error::Setup(format!("{what} answered: {answer}"))),
        }
    }

    /// Reads the text format; lines that are no samples are left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            text: text.to_owned(),
            samples: lines.filter_map(sample).collect(),
        }
    }

    /// Returns the samples of a metric that have these labels, whatever others they have.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(fits).collect()
    }

    /// Returns the value of the only sample of a metric that has these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.find(name, labels)[..] {
            [sample] => Some(sample.value),
            _ => None,
        }
    }

    /// Returns the sum of the samples of a metric that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.find(name, labels);
        found.iter().map(|sample| sample.value).sum()
    }

    /// Returns the samples that name this object.
    pub fn of_object(&self, namespace: &str, name: &str) -> Vec<&Sample> {
        let is = |sample: &Sample, key: &str, value: &str| {
            sample.labels.get(key).is_some_and(|found| found == value)
        };
        let ours =
            |sample: &&Sample| is(sample, "namespace", namespace) && is(sample, "name", name);
        self.samples.iter().filter(ours).collect()
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = read_labels(rest)?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, BTreeMap::new(), rest)
        }
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: rest.split_whitespace().next()?.parse().ok()?,
    })
}

/// Reads labels up to the closing brace; returns what follows it.
fn read_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.to_owned(), value);
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests;
