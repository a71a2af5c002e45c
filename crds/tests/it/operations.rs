//! The page about operating tells what becomes of a job for each reason.

use std::fs;
use std::path::Path;

use blit_crds::outcome::{Class, Reason};

#[test]
fn the_page_about_operating_has_each_reason_in_its_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let page = fs::read_to_string(&path).unwrap();
    for reason in Reason::ALL {
        let class = match reason.class() {
            Class::Retried => "retried",
            Class::Terminal => "fails",
            Class::Waiting => "waits",
        };
        let row = format!("\n| `{reason}` | {class}");
        assert!(
            page.contains(&row),
            "docs/operations.md lacks the row {row}"
        );
    }
}
