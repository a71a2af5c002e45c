use std::sync::Mutex;

use blit_engine::run::Listing;

use super::*;

/// A listing of one part.
struct Given(Mutex<Option<Part>>);

impl Listing for Given {
    fn root(&self) -> Result<Entry, SourceError> {
        Err(SourceError::Root(
            "the source's own root is not meant".to_owned(),
        ))
    }

    fn next(&self, _: Duration) -> Result<Next, SourceError> {
        let part = self.0.lock().unwrap().take();
        Ok(part.map_or(Next::Finished, Next::Part))
    }

    fn done(&self, _: DirId, _: u32, _: bool) {}

    fn relist(&self, _: DirId) -> Result<Vec<Box<[u8]>>, SourceError> {
        Ok(Vec::new())
    }
}

/// Lists the files in `names` of a real directory through a listing that promised one file called `new`.
fn listed(names: &[&str], end: Option<End>) -> Result<Next, SourceError> {
    let area = tempfile::tempdir().unwrap();
    let dir = Dir::open_root(area.path()).unwrap();
    let entries = names.iter().map(|name| {
        std::fs::write(area.path().join(name), b"x").unwrap();
        Entry {
            name: name.as_bytes().into(),
            meta: dir.stat(name.as_bytes()).unwrap(),
            target: None,
            dir: None,
            xattrs: None,
        }
    });
    let part = Part {
        dir: DirId::ROOT,
        part: 0,
        entries: entries.collect(),
        end,
    };
    let given = Arc::new(Given(Mutex::new(Some(part))));
    let file = OneFile::new(given, &dir, OsStr::new("new")).unwrap();
    assert_eq!(file.root().unwrap().dir, Some(DirId::ROOT));
    file.next(Duration::ZERO)
}

#[test]
fn the_file_gets_the_name_that_it_is_to_have_here() {
    let Next::Part(part) = listed(&["old"], Some(End::Complete { count: 1 })).unwrap() else {
        panic!("no part")
    };
    assert_eq!(&*part.entries[0].name, b"new");
}

#[test]
fn a_source_that_lists_more_than_its_one_file_is_not_believed() {
    let two = listed(&["old", "other"], Some(End::Complete { count: 2 }));
    assert!(matches!(two, Err(SourceError::Lost(_))), "{two:?}");
    let unfinished = listed(&["old"], None);
    assert!(
        matches!(unfinished, Err(SourceError::Lost(_))),
        "{unfinished:?}"
    );
}

#[test]
fn a_file_that_vanished_or_cannot_be_read_is_no_empty_copy() {
    let gone = listed(&[], Some(End::Complete { count: 0 }));
    assert!(matches!(gone, Err(SourceError::Other(_))), "{gone:?}");
    let reason = "cannot read".to_owned();
    let unreadable = listed(&[], Some(End::Incomplete { reason }));
    assert!(
        matches!(unreadable, Err(SourceError::Root(_))),
        "{unreadable:?}"
    );
}
