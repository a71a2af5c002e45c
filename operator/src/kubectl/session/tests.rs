use serde_json::json;

use super::*;
use crate::fake_api::FakeApi;

fn session(api: &FakeApi) -> Session {
    Session {
        client: api.client(),
        namespace: "ml".to_owned(),
    }
}

const JOBS: &str = "/apis/blit.dev/v1alpha1/namespaces/ml/mirrorjobs";
const ALL_JOBS: &str = "/apis/blit.dev/v1alpha1/mirrorjobs";

fn job(namespace: &str, name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "blit.dev/v1alpha1",
        "kind": "MirrorJob",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "operation": "Copy",
            "source": {"persistentVolumeClaim": {"claimName": "a"}},
            "destination": {"persistentVolumeClaim": {"claimName": "b"}},
        }
    })
}

fn list(items: &[serde_json::Value]) -> serde_json::Value {
    json!({"apiVersion": "blit.dev/v1alpha1", "kind": "MirrorJobList", "metadata": {}, "items": items})
}

#[tokio::test]
async fn a_job_that_does_not_exist_is_told_as_kubectl_does_with_what_exists() {
    let api = FakeApi::start().await;
    api.put(JOBS, list(&[job("ml", "copy"), job("ml", "stage")]));
    api.put(ALL_JOBS, list(&[job("web", "kopy")]));
    let error = session(&api).job("kopy").await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "Error from server (NotFound): mirrorjobs.blit.dev \"kopy\" not found\n\
         Namespace ml has: copy, stage\n\
         There is one of this name with -n web."
    );
}

#[tokio::test]
async fn a_namespace_without_jobs_is_told() {
    let api = FakeApi::start().await;
    api.put(JOBS, list(&[]));
    let error = session(&api).job("copy").await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "Error from server (NotFound): mirrorjobs.blit.dev \"copy\" not found\nNamespace ml has no MirrorJob."
    );
}

#[tokio::test]
async fn a_cluster_that_does_not_know_the_kind_is_told_from_a_job_that_does_not_exist() {
    let api = FakeApi::start().await;
    let session = session(&api);
    let errors = [
        session.job("copy").await.err().unwrap(),
        session.list(true).await.err().unwrap(),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("helm install blit charts/blit"), "{text}");
    }
}

#[tokio::test]
async fn a_job_keeps_fields_that_this_version_does_not_know() {
    let api = FakeApi::start().await;
    let mut newer = job("ml", "copy");
    newer["spec"]["fieldOfTheFuture"] = json!(1);
    api.put(&format!("{JOBS}/copy"), newer);
    let found = session(&api).job("copy").await.ok().unwrap();
    assert_eq!(found.object.data["spec"]["fieldOfTheFuture"], json!(1));
    assert_eq!(found.job.spec.source.to_string(), "pvc/a:/");
}

#[tokio::test]
async fn a_job_that_cannot_be_understood_is_told_with_the_cause() {
    let api = FakeApi::start().await;
    let mut newer = job("ml", "copy");
    newer["status"] = json!({"phase": "Relaying"});
    api.put(&format!("{JOBS}/copy"), newer);
    let text = session(&api).job("copy").await.err().unwrap().to_string();
    assert!(text.contains("Relaying"), "{text}");
    assert!(text.contains("older than the operator"), "{text}");
}

#[test]
fn a_name_may_have_its_kind_before_it() {
    for name in [
        "copy",
        "mj/copy",
        "mirrorjob/copy",
        "mirrorjob.blit.dev/copy",
    ] {
        assert_eq!(bare_name(name), "copy");
    }
}
