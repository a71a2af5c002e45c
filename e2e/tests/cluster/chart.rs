//! The chart as it is installed: definitions, readiness, rights of users, an install for one namespace.

use blit_e2e::cluster::{kubectl, with_temp_ns};

use crate::common::mirror;

#[test]
fn the_definition_applies_without_a_warning() {
    with_temp_ns("chart-crd", async |ns| {
        let file = "crds/mirrorjobs.blit.dev.yaml";
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            file,
        ];
        let said = kubectl(&ns.cluster.env, &apply).await?;
        assert_eq!(said.code, Some(0), "{}", said.both());
        assert!(
            !said.both().to_lowercase().contains("warning"),
            "{}",
            said.both()
        );
        Ok(())
    });
}

#[test]
fn the_definition_tells_kubectl_what_to_show() {
    with_temp_ns("chart-kubectl", async |ns| {
        let env = &ns.cluster.env;
        ns.job("copy", &mirror("a", "b"))
            .await?
            .waits("ClaimNotFound")
            .await?;
        for name in ["mj", "mirrorjob", "mirrorjobs", "blit"] {
            let table = kubectl(env, &["-n", &ns.name, "get", name]).await?.ok()?;
            let head = table.lines().next().unwrap_or_default();
            let columns: Vec<&str> = head.split_whitespace().collect();
            let wanted = [
                "NAME",
                "OPERATION",
                "SOURCE",
                "DESTINATION",
                "PHASE",
                "PROGRESS",
                "THROUGHPUT",
                "AGE",
            ];
            assert_eq!(columns, wanted, "{table}");
        }
        let explained = kubectl(env, &["explain", "mirrorjob.spec.deletion.maxDelete"])
            .await?
            .ok()?;
        assert!(
            explained.contains("largest number of deletions"),
            "{explained}"
        );
        Ok(())
    });
}

#[test]
fn the_rights_of_users_follow_the_roles_of_the_cluster() {
    with_temp_ns("chart-users", async |ns| {
        let env = &ns.cluster.env;
        let cases = [
            ("admin", "create", true),
            ("admin", "delete", true),
            ("edit", "create", false),
            ("view", "get", true),
            ("view", "watch", true),
            ("view", "create", false),
        ];
        for role in ["admin", "edit", "view"] {
            let user = format!("--user={role}-user");
            let role = format!("--clusterrole={role}");
            let name = user.trim_start_matches("--user=");
            let bind = ["-n", &ns.name, "create", "rolebinding", name, &role, &user];
            kubectl(env, &bind).await?.ok()?;
        }
        for (role, verb, may) in cases {
            let user = format!("--as={role}-user");
            let ask = [
                "-n",
                &ns.name,
                "auth",
                "can-i",
                verb,
                "mirrorjobs.blit.dev",
                &user,
            ];
            let said = kubectl(env, &ask).await?;
            assert_eq!(said.code == Some(0), may, "{role} {verb}: {}", said.both());
        }
        Ok(())
    });
}
