use super::*;

fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).unwrap()
}

fn grant(scopes: &str, prefix: &str) -> Grant {
    Grant {
        scopes: scopes.parse().unwrap(),
        prefix: path(prefix),
    }
}

#[test]
fn a_scope_allows_itself_and_nothing_else() {
    for scope in Scope::ALL {
        let held = grant(scope.as_str(), "/");
        for other in Scope::ALL {
            assert_eq!(held.check(other, &path("/x")).is_ok(), scope == other);
        }
    }
}

#[test]
fn a_prefix_is_made_of_components() {
    let held = grant("read,write,delete", "/data/a");
    for inside in ["/data/a", "data/a/", "/data/a/b", "/data//a/./b"] {
        held.check(Scope::Write, &path(inside)).unwrap();
    }
    for outside in ["/", "/data", "/data/ab", "/data/b", "/a", "/data/A"] {
        let denied = held.check(Scope::Write, &path(outside)).unwrap_err();
        assert!(matches!(denied, Denied::Prefix { .. }), "{outside}");
    }
}

#[test]
fn scopes_are_written_as_they_are_read() {
    assert_eq!(Scopes::all().to_string(), "read,write,delete");
    assert_eq!(
        "delete,read".parse::<Scopes>().unwrap().to_string(),
        "read,delete"
    );
    for wrong in ["", "admin", "read,", "read write"] {
        assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
    }
}
