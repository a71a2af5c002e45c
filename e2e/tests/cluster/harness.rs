//! What the other tests stand on: volumes that the test sees, packets that a node drops, processes of pods.

use std::fs;
use std::process::Command;

use blit_e2e::cluster::{Idle, Node, kubectl, of_pod, uid, with_temp_ns};

#[test]
fn a_pod_writes_to_the_directory_that_the_test_sees() {
    with_temp_ns("harness-volume", async |ns| {
        for node in Node::BOTH {
            let claim = format!("data-{node:?}").to_lowercase();
            let volume = ns.volume(&claim, node).create().await?;
            let pod = Idle::with(&claim, &claim).run(&ns).await?;
            let env = &ns.cluster.env;
            let on = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            assert_eq!(on.as_deref(), Some(node.name(env)?));
            let file = format!("/volumes/{claim}/file");
            let name = [
                "-n", &ns.name, "exec", &claim, "--", "busybox", "touch", &file,
            ];
            kubectl(env, &name).await?.ok()?;
            assert!(fs::exists(volume.path.join("file")).unwrap());
            let processes = of_pod(uid(&pod))?;
            assert_eq!(processes.len(), 1, "{processes:?}");
        }
        Ok(())
    });
}

#[test]
fn a_node_drops_what_it_is_told_to_drop() {
    with_temp_ns("harness-rules", async |ns| {
        let volume = ns.volume("data", Node::A).create().await?;
        let pod = Idle::with("pod", &volume.claim).run(&ns).await?;
        let address = pod.status.and_then(|status| status.pod_ip).unwrap();
        assert!(answers(&address));
        let rules = [format!("ip daddr {address} drop")];
        let rules = Node::A.forward(&ns.cluster.env, &rules)?;
        assert!(!answers(&address));
        rules.lift();
        assert!(answers(&address));
        Ok(())
    });
}

fn answers(address: &str) -> bool {
    let ping = ["-c", "1", "-W", "1", address];
    let ping = Command::new("busybox").arg("ping").args(ping).output();
    ping.unwrap().status.success()
}
