//! Judged last, when all other tests have run: the operator was never refused a request, and it has no right
//! that it did not use. Its name makes it the last of the run, and it waits until it is alone.

use std::collections::BTreeSet;

use blit_e2e::cluster::{Audit, Namespace, OPERATOR_NAMESPACE, Request, Result, alone};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject,
};
use kube::ResourceExt;
use kube::api::ListParams;

/// Asked by every client about itself, as every user may.
const ABOUT_ITSELF: [&str; 1] = ["selfsubjectaccessreviews"];

/// Rights for what happens in no test.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    // No request: admission that protects owners asks for it when a pod gets its owner.
    ("blit.dev", "mirrorjobs/finalizers", "update"),
    // When the operator's own certificate grows old.
    ("", "secrets", "update"),
];

#[test]
fn the_operator_was_refused_nothing() {
    alone("verdict-refused", async |ns| {
        let user = user(&ns).await?;
        let log = Audit::whole(&ns.cluster.env)?;
        let asked = log.requests(|request| request.user == user)?;
        // An API server that has just started refuses everybody until it has read the roles, and a test restarts it.
        let granted: BTreeSet<Request> = asked.iter().filter(|r| !r.denied).map(question).collect();
        let refused: BTreeSet<Request> = asked.iter().filter(|r| r.denied).map(question).collect();
        let refused: Vec<&Request> = refused.difference(&granted).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        Ok(())
    });
}

#[test]
fn the_operator_has_no_right_that_it_did_not_use() {
    alone("verdict-unused", async |ns| {
        let user = user(&ns).await?;
        let granted = granted(&ns, &user).await?;
        assert!(!granted.is_empty());
        let log = Audit::whole(&ns.cluster.env)?;
        let used = log.requests(|request| request.user == user)?;
        let used: BTreeSet<Right> = used
            .into_iter()
            .map(|request| (request.group, request.resource, request.verb))
            .collect();
        let unused: Vec<&Right> = granted
            .difference(&used)
            .filter(|(group, resource, verb)| !EXCEPTIONS.contains(&(group, resource, verb)))
            .collect();
        assert!(unused.is_empty(), "granted and never used: {unused:#?}");
        let asked: Vec<&Right> = used
            .difference(&granted)
            .filter(|(_, resource, _)| !resource.starts_with('/'))
            .filter(|(_, resource, _)| !ABOUT_ITSELF.contains(&resource.as_str()))
            .collect();
        assert!(
            asked.is_empty(),
            "used without a right of its own: {asked:#?}"
        );
        Ok(())
    });
}

/// Returns a request without its answer and without the name of its object, which no rule of the roles has.
fn question(request: &Request) -> Request {
    Request {
        name: String::new(),
        code: 0,
        denied: false,
        ..request.clone()
    }
}

/// Group, resource, verb.
type Right = (String, String, String);

/// Returns the user name of the operator's service account.
async fn user(ns: &Namespace) -> Result<String> {
    let deployment = ns.cluster.operator().deployment().await?;
    let spec = deployment.spec.and_then(|spec| spec.template.spec);
    let account = spec.and_then(|spec| spec.service_account_name).unwrap();
    Ok(format!(
        "system:serviceaccount:{OPERATOR_NAMESPACE}:{account}"
    ))
}

/// Returns every right that is bound to the user.
async fn granted(ns: &Namespace, user: &str) -> Result<BTreeSet<Right>> {
    let all = ListParams::default();
    let cluster = &ns.cluster;
    let mut rules: Vec<PolicyRule> = Vec::new();
    for binding in cluster.all::<ClusterRoleBinding>().list(&all).await?.items {
        if binds(binding.subjects.as_deref(), user) {
            let role = cluster
                .all::<ClusterRole>()
                .get(&binding.role_ref.name)
                .await?;
            rules.extend(role.rules.into_iter().flatten());
        }
    }
    for binding in cluster.all::<RoleBinding>().list(&all).await?.items {
        if binds(binding.subjects.as_deref(), user) {
            let place = binding.namespace().unwrap_or_default();
            let name = &binding.role_ref.name;
            if binding.role_ref.kind == "Role" {
                let role = cluster.in_namespace::<Role>(&place).get(name).await?;
                rules.extend(role.rules.into_iter().flatten());
            } else {
                let role = cluster.all::<ClusterRole>().get(name).await?;
                rules.extend(role.rules.into_iter().flatten());
            }
        }
    }
    let mut rights = BTreeSet::new();
    for rule in &rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    rights.insert((group.clone(), resource.clone(), verb.clone()));
                }
            }
        }
    }
    Ok(rights)
}

fn binds(subjects: Option<&[Subject]>, user: &str) -> bool {
    subjects.into_iter().flatten().any(|subject| {
        let place = subject.namespace.as_deref().unwrap_or_default();
        subject.kind == "ServiceAccount"
            && format!("system:serviceaccount:{place}:{}", subject.name) == user
    })
}
