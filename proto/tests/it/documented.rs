//! The page about the protocol names every call, every message and every feature, and none that there is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use blit_proto::version;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    let path = Path::new(CRATE).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns what follows a keyword at the beginning of the lines of the proto, up to the end of the word.
fn declared(keyword: &str) -> BTreeSet<String> {
    let proto = read("blit.proto");
    let lines = proto.lines().map(str::trim_start);
    let named = lines.filter_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '));
    let word = |rest: &str| {
        let letters = rest.chars().take_while(char::is_ascii_alphanumeric);
        letters.collect::<String>()
    };
    named.map(word).collect()
}

/// Returns the names in the first cells of the tables below a heading, up to the next of its rank or a higher one.
fn rows(page: &str, heading: &str) -> BTreeSet<String> {
    let rank = heading.chars().take_while(|c| *c == '#').count();
    let is_next = |line: &&str| {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        (1..=rank).contains(&hashes)
    };
    let below = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = below.take_while(|line| !is_next(line));
    let cells = section.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

#[test]
fn the_page_about_the_protocol_names_every_call_and_every_message() {
    let page = read("../docs/protocol.md");
    for (keyword, heading, some) in [
        ("rpc", "### Calls", "Push"),
        ("message", "### What they carry", "DataToken"),
    ] {
        let declared = declared(keyword);
        assert!(
            declared.contains(some),
            "no {keyword} is found: {declared:?}"
        );
        let named = rows(&page, heading);
        let missing: Vec<_> = declared.difference(&named).collect();
        assert!(
            missing.is_empty(),
            "docs/protocol.md has no row below `{heading}` for {missing:?} of proto/blit.proto"
        );
        let gone: Vec<_> = named.difference(&declared).collect();
        assert!(
            gone.is_empty(),
            "docs/protocol.md names {gone:?} below `{heading}`, which proto/blit.proto does not have"
        );
    }
}

#[test]
fn the_page_about_the_protocol_names_every_feature_and_the_versions() {
    let page = read("../docs/protocol.md");
    let told = rows(&page, "## Versions");
    let features = version::hello().features.into_iter().collect();
    assert_eq!(told, features);
    let versions = format!("version {}", version::MAX);
    assert!(
        page.contains(&versions),
        "the page is of another {versions}"
    );
}

/// A limit is named by where its value is: a row outlives neither the file nor the constant.
#[test]
fn every_limit_of_the_page_is_a_constant_of_the_code() {
    let page = read("../docs/protocol.md");
    let limits = page.lines().skip_while(|line| *line != "## Limits");
    let rows = limits.take_while(|line| *line != "## Not yet");
    let mut checked = 0;
    for row in rows.filter(|line| line.starts_with("| ") && line.ends_with('|')) {
        let place = row.rsplit('|').nth(1).unwrap_or_default();
        let mut code = None;
        for name in place.split('`').skip(1).step_by(2) {
            if name.ends_with(".rs") {
                let below = ["mover/", "proto/"].iter().any(|top| name.starts_with(top));
                let folder = if below { "" } else { "mover/transport/src/" };
                code = Some(read(&format!("../{folder}{name}")));
                continue;
            }
            let code = code.as_deref().unwrap_or_default();
            assert!(
                code.contains(&format!("const {name}: ")),
                "there is no `{name}` where the page says: {row}"
            );
            checked += 1;
        }
    }
    assert!(
        checked > 100,
        "the tables of limits have {checked} constants"
    );
}
