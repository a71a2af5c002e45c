use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::{DEFINITION, PERMISSIONS, Readiness, check_until_ready, listen, needed, router, serve};
use crate::fake_api::FakeApi;
use crate::metrics::Metrics;
use crate::settings::Settings;

const JOBS: &str = "/apis/blit.dev/v1alpha1/mirrorjobs";

fn settings(more: &str) -> Settings {
    Settings::parse(Path::new("operator.yaml"), &format!("image: a\n{more}")).unwrap()
}

/// Asks once, and returns the whole answer.
async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_replica_lives_at_once_and_is_ready_when_nothing_is_missing_any_more() {
    let readiness = Arc::new(Readiness::new([DEFINITION, PERMISSIONS]));
    let metrics = Arc::new(Metrics::new());
    let listener = listen(0).await.unwrap();
    let address = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = router(Arc::clone(&readiness), metrics);
    let server = tokio::spawn(serve(listener, router, async {
        let _ = stopped.await;
    }));
    assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = ask(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("definition: not checked yet\n"), "{answer}");
    readiness.set(DEFINITION, Ok(()));
    readiness.set(
        PERMISSIONS,
        Err("may not create pods\nmay not list nodes".to_owned()),
    );
    let answer = ask(address, "/readyz").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(
        body,
        "permissions: may not create pods\npermissions: may not list nodes\n"
    );
    readiness.set(PERMISSIONS, Ok(()));
    assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let answer = ask(address, "/metrics").await;
    assert!(
        answer.contains("application/openmetrics-text; version=1.0.0"),
        "{answer}"
    );
    assert!(
        answer.contains("blit_leader 0\n") && answer.ends_with("# EOF\n"),
        "{answer}"
    );
    assert!(ask(address, "/other").await.starts_with("HTTP/1.1 404"));
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_missing_definition_and_each_missing_permission_are_named_until_they_are_there() {
    let api = FakeApi::start().await;
    api.deny("create", "pods");
    api.deny("patch", "mirrorjobs/status");
    let readiness = Arc::new(Readiness::new([DEFINITION, PERMISSIONS]));
    let check = tokio::spawn({
        let (client, readiness) = (api.client(), Arc::clone(&readiness));
        async move { check_until_ready(&client, &settings(""), "blit", &readiness).await }
    });
    while readiness
        .missing()
        .iter()
        .any(|line| line.contains("not checked"))
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let missing = readiness.missing();
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(missing[0].starts_with("definition: mirrorjobs.blit.dev is not installed; "));
    assert!(missing[1].contains("may not create pods;"), "{missing:?}");
    assert!(
        missing[2].contains("may not patch mirrorjobs/status.blit.dev;"),
        "{missing:?}"
    );
    check.abort();
    api.allow_all();
    api.put(
        JOBS,
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
            "items": [],
        }),
    );
    check_until_ready(&api.client(), &settings(""), "blit", &readiness).await;
    assert_eq!(readiness.missing(), Vec::<String>::new());
}

#[test]
fn an_operator_of_all_namespaces_needs_the_rules_of_the_contract() {
    let all: Vec<String> = needed(&settings(""), "blit")
        .iter()
        .map(ToString::to_string)
        .collect();
    for permission in [
        "delete mirrorjobs.blit.dev",
        "patch mirrorjobs/status.blit.dev",
        "watch pods",
        "create secrets",
        "create networkpolicies.networking.k8s.io",
        "create persistentvolumeclaims",
        "list nodes",
        "list volumeattachments.storage.k8s.io",
        "get namespaces",
        "patch events.events.k8s.io",
        "update leases.coordination.k8s.io blit-operator in namespace blit",
        "get secrets blit-operator-ca in namespace blit",
    ] {
        assert!(
            all.iter().any(|one| one == permission),
            "{permission}: {all:#?}"
        );
    }
    for too_much in [
        "get secrets",
        "watch nodes",
        "list namespaces",
        "list secrets",
        "pods/exec",
        "impersonate",
        "patch secrets",
    ] {
        assert!(!all.iter().any(|one| one == too_much), "{too_much}");
    }
}

#[test]
fn an_operator_of_some_namespaces_needs_nothing_outside_them() {
    let more = "watchNamespaces: [a, b]\nclusterScoped: false\nnetworkPolicy: {enabled: false}\n\
                leaderElection: {enabled: false}\n";
    let all = needed(&settings(more), "blit");
    assert!(
        all.iter().all(|permission| permission.namespace.is_some()),
        "{all:#?}"
    );
    assert!(
        !all.iter()
            .any(|permission| permission.resource == "networkpolicies")
    );
    assert!(!all.iter().any(|permission| permission.resource == "leases"));
    let pods = all
        .iter()
        .filter(|permission| permission.resource == "pods");
    assert_eq!(pods.count(), 10);
}
