//! Every manifest that the documentation shows is accepted by the API server.

use std::fs;
use std::path::Path;

use blit_e2e::cluster::{kubectl, with_temp_ns};

#[test]
fn every_example_is_accepted_without_a_warning() {
    with_temp_ns("examples", async |ns| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.to_string_lossy();
            let apply = ["-n", &ns.name, "create", "--dry-run=server", "-f", &file];
            let said = kubectl(&ns.cluster.env, &apply).await?;
            assert_eq!(said.code, Some(0), "{file}: {}", said.both());
            assert!(!said.both().contains("Warning"), "{file}: {}", said.both());
            count += 1;
        }
        assert!(count > 5, "{count} examples");
        Ok(())
    });
}
