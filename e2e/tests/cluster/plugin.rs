//! `kubectl blit`, as a user types it.

use blit_e2e::cluster::{Node, Setting, many, plugin, with_temp_ns};

use crate::common::{BASELINE, Transfer, USER, mirror};

#[test]
fn status_and_logs_follow_a_job_to_its_end() {
    with_temp_ns("plugin-status", async |ns| {
        let env = &ns.cluster.env;
        let mut transfer = Transfer::start(&ns, "").await?;
        transfer.job.phase("Running").await?;
        let said = plugin(env, &["status", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        for word in [
            "copy",
            "Running",
            "pvc/from:/",
            "pvc/to:/",
            "node-a",
            "node-b",
        ] {
            assert!(said.contains(word), "no {word} in\n{said}");
        }
        let said = plugin(env, &["logs", "copy", "-n", &ns.name]).await?.ok()?;
        assert!(
            said.contains("source") && said.contains("destination"),
            "{said}"
        );
        transfer.speed_up();
        let ended = plugin(env, &["status", "copy", "--wait", "-n", &ns.name]).await?;
        assert_eq!(ended.code, Some(0), "{}", ended.both());
        assert!(ended.stdout.contains("Complete"), "{}", ended.both());
        let all = plugin(env, &["status", "-A"]).await?.ok()?;
        assert!(all.contains(&ns.name), "{all}");
        Ok(())
    });
}

#[test]
fn explain_says_what_a_job_waits_for_and_what_to_do() {
    with_temp_ns("plugin-explain", async |ns| {
        let env = &ns.cluster.env;
        let lost = ns.job("lost", &mirror("nowhere", "to")).await?;
        lost.waits("ClaimNotFound").await?;
        let said = plugin(env, &["explain", "lost", "-n", &ns.name])
            .await?
            .ok()?;
        assert!(
            said.contains("nowhere") && said.contains("ClaimNotFound"),
            "{said}"
        );
        lost.delete().await?;
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        many(&from.path, 5, 10, USER)?;
        let job = ns.job("level", &(mirror("from", "to") + BASELINE)).await?;
        job.waits("PermissionNotGranted").await?;
        let said = plugin(env, &["explain", "level", "-n", &ns.name])
            .await?
            .ok()?;
        assert!(said.contains("kubectl annotate namespace"), "{said}");
        let said = plugin(env, &["explain", "missing", "-n", &ns.name]).await?;
        assert_eq!(said.code, Some(1));
        assert!(
            said.stderr.contains("not found") && said.stderr.contains("level"),
            "{}",
            said.stderr
        );
        Ok(())
    });
}

#[test]
fn cancel_ends_a_job_and_leaves_the_data() {
    with_temp_ns("plugin-cancel", async |ns| {
        let transfer = Transfer::start(&ns, "").await?;
        let said = plugin(
            &ns.cluster.env,
            &["cancel", "copy", "--yes", "-n", &ns.name],
        )
        .await?
        .ok()?;
        assert!(said.contains("copy"), "{said}");
        transfer
            .job
            .gone_within(blit_e2e::cluster::PATIENCE)
            .await?;
        ns.nothing_belongs_to(&transfer.job.uid).await?;
        assert!(transfer.arrived().len() >= 10);
        Ok(())
    });
}

#[test]
fn retry_makes_a_new_job_and_leaves_the_failed_one() {
    Setting::default().run("plugin-retry", async |ns| {
        let env = &ns.cluster.env;
        let from = ns.volume("from", Node::A).create().await?;
        ns.volume("to", Node::B).create().await?;
        let failed = ns.job("copy", &mirror("from", "to")).await?;
        failed.failed("SourceEmpty").await?;
        let again = plugin(env, &["status", "copy", "--wait", "-n", &ns.name]).await?;
        assert_eq!(again.code, Some(1), "{}", again.both());
        many(&from.path, 5, 10, USER)?;
        plugin(env, &["retry", "copy", "-n", &ns.name])
            .await?
            .ok()?;
        let ended = plugin(env, &["status", "copy-r1", "--wait", "-n", &ns.name]).await?;
        assert_eq!(ended.code, Some(0), "{}", ended.both());
        assert!(failed.now().await?.is("Failed"));
        Ok(())
    });
}
