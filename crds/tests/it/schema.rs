//! The definition is one that an API server accepts without a warning.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::json;

/// Formats that the API server knows, of those that schemas derived from Rust types can hold. It warns
/// of all others, such as `uint32`.
const KNOWN_FORMATS: [&str; 6] = ["int32", "int64", "float", "double", "date-time", "byte"];

/// Largest object that client-side `kubectl apply` can handle is 256 KiB: it puts the whole into an
/// annotation.
const MAX_CRD_BYTES: usize = 200 * 1024;

fn root() -> JSONSchemaProps {
    let version = blit_crds::schema::crd().spec.versions.remove(0);
    version
        .schema
        .and_then(|schema| schema.open_api_v3_schema)
        .unwrap_or_default()
}

/// The schema of a field such as `spec.deletion.maxDelete`.
fn field(path: &str) -> JSONSchemaProps {
    path.split('.').fold(root(), |schema, name| {
        schema
            .properties
            .unwrap_or_default()
            .remove(name)
            .unwrap_or_else(|| panic!("no {path}"))
    })
}

/// Calls `visit` with every schema below one, and its path.
fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut dyn FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        walk(values, &format!("{path}[]"), visit);
    }
}

#[test]
fn the_resource_has_the_names_of_the_contract() {
    let crd = blit_crds::schema::crd();
    assert_eq!(crd.metadata.name.as_deref(), Some("mirrorjobs.blit.dev"));
    assert_eq!(crd.spec.scope, "Namespaced");
    assert_eq!(crd.spec.names.short_names, Some(vec!["mj".to_owned()]));
    assert_eq!(crd.spec.names.categories, Some(vec!["blit".to_owned()]));
    let version = &crd.spec.versions[0];
    assert_eq!(version.name, "v1alpha1");
    assert!(version.subresources.as_ref().unwrap().status.is_some());
}

#[test]
fn the_printed_columns_are_those_of_the_contract() {
    let columns = blit_crds::schema::crd()
        .spec
        .versions
        .remove(0)
        .additional_printer_columns;
    let (wide, narrow): (Vec<_>, Vec<_>) = columns
        .unwrap()
        .into_iter()
        .partition(|column| column.priority == Some(1));
    let names = |columns: Vec<_>| {
        columns
            .into_iter()
            .map(|column: CustomResourceColumnDefinition| column.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names(narrow),
        "Operation Source Destination Phase Progress Throughput Age"
    );
    assert_eq!(
        names(wide),
        "Transport ETA Files Attempts Source-Node Destination-Node Reason"
    );
}

#[test]
fn every_format_is_known_to_the_api_server() {
    walk(&root(), "", &mut |path, schema| {
        if let Some(format) = &schema.format {
            assert!(
                KNOWN_FORMATS.contains(&format.as_str()),
                "{path} has format {format}"
            );
        }
    });
}

#[test]
fn every_string_list_and_map_of_ours_has_a_bound() {
    let foreign = [
        "affinity",
        "tolerations[]",
        "resources",
        "imagePullSecrets[]",
        "selector",
    ];
    let bounded_elsewhere = |path: &str, schema: &JSONSchemaProps| {
        foreign
            .iter()
            .any(|name| path.contains(&format!(".{name}")))
            || path.contains(".seLinuxOptions.")
            || path.contains(".conditions[]")
            || path.ends_with("[]")
            || schema.enum_.is_some()
            || schema.format.is_some()
    };
    walk(&root(), "", &mut |path, schema| {
        if bounded_elsewhere(path, schema) {
            return;
        }
        let bounded = match schema.type_.as_deref() {
            Some("string") => schema.max_length.is_some(),
            Some("array") => schema.max_items.is_some(),
            Some("object") => schema.properties.is_some() || schema.max_properties.is_some(),
            _ => true,
        };
        assert!(bounded, "{path} has no bound");
    });
}

#[test]
fn every_field_of_ours_has_a_description() {
    let foreign = [
        "affinity",
        "tolerations",
        "resources",
        "imagePullSecrets",
        "selector",
    ];
    walk(&root(), "", &mut |path, schema| {
        let inner =
            |name: &str| path.contains(&format!(".{name}.")) || path.contains(&format!(".{name}["));
        if foreign.iter().any(|name| inner(name))
            || inner("seLinuxOptions")
            || inner("conditions")
            || path.ends_with("[]")
        {
            return;
        }
        assert!(schema.description.is_some(), "{path} has no description");
    });
}

#[test]
fn every_parent_with_defaults_below_it_defaults_to_an_empty_object() {
    for parent in ["deletion", "transport", "mover"] {
        let schema = field(&format!("spec.{parent}"));
        assert_eq!(
            schema.default.map(|json| json.0),
            Some(json!({})),
            "{parent}"
        );
    }
    for (path, value) in [
        ("spec.compare", json!("SizeAndTime")),
        ("spec.verify", json!("None")),
        ("spec.dryRun", json!(false)),
        ("spec.deletion.allowEmptySource", json!(false)),
        ("spec.transport.kind", json!("Auto")),
        ("spec.transport.fallback", json!("Allow")),
        ("spec.transport.encryption", json!("ControlPlane")),
        ("spec.mover.podSecurity", json!("Restricted")),
        ("spec.source.persistentVolumeClaim.path", json!("/")),
        ("spec.source.persistentVolumeClaim.readOnly", json!(true)),
        (
            "spec.destination.persistentVolumeClaim.inUse",
            json!("Wait"),
        ),
        ("spec.suspend", json!(false)),
        ("spec.backoffLimit", json!(6)),
        ("spec.progressDeadlineSeconds", json!(600)),
    ] {
        assert_eq!(
            field(path).default.map(|json| json.0),
            Some(value),
            "{path}"
        );
    }
}

#[test]
fn every_default_keeps_the_bounds_of_its_field() {
    walk(&root(), "", &mut |path, schema| {
        let Some(default) = &schema.default else {
            return;
        };
        if let (Some(number), Some(least)) = (default.0.as_f64(), schema.minimum) {
            assert!(number >= least, "{path} defaults to {number}");
        }
        if let Some(text) = default.0.as_str() {
            assert!(
                schema
                    .min_length
                    .is_none_or(|least| text.len() as i64 >= least),
                "{path}"
            );
            let allowed = schema.enum_.as_ref();
            assert!(
                allowed.is_none_or(|allowed| allowed.contains(default)),
                "{path}"
            );
        }
    });
}

#[test]
fn one_of_several_places_is_a_one_of_in_the_schema() {
    for path in ["spec.source", "spec.destination"] {
        let schema = field(path);
        let choices: Vec<String> = schema
            .one_of
            .unwrap()
            .into_iter()
            .flat_map(|choice| choice.required.unwrap())
            .collect();
        let properties: Vec<String> = schema.properties.unwrap().into_keys().collect();
        assert_eq!(choices.len(), properties.len(), "{path}");
        assert!(
            choices.iter().all(|choice| properties.contains(choice)),
            "{path}"
        );
    }
}

#[test]
fn only_what_may_change_has_no_rule_against_changing() {
    let spec = field("spec");
    let rules: Vec<String> = spec
        .x_kubernetes_validations
        .unwrap()
        .into_iter()
        .map(|rule| rule.rule)
        .collect();
    let mutable = [
        "activeDeadlineSeconds",
        "bandwidthLimit",
        "suspend",
        "ttlSecondsAfterFinished",
    ];
    for name in spec.properties.unwrap().keys() {
        let fixed = rules
            .iter()
            .any(|rule| rule.starts_with(&format!("has(self.{name}) == has(oldSelf.{name}) &&")));
        assert_eq!(fixed, !mutable.contains(&name.as_str()), "{name}");
    }
}

/// Characters that a value can have at most, by the bounds of its schema; `elsewhere` for strings that have
/// none there.
fn longest(schema: &JSONSchemaProps, elsewhere: i64) -> i64 {
    let properties: i64 = schema
        .properties
        .iter()
        .flatten()
        .map(|(name, property)| name.len() as i64 + longest(property, elsewhere))
        .sum();
    let items = match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => {
            schema.max_items.unwrap_or(1) * longest(items, elsewhere)
        }
        _ => 0,
    };
    let text = match schema.type_.as_deref() {
        Some("string") if schema.enum_.is_none() && schema.format.is_none() => {
            schema.max_length.unwrap_or(elsewhere)
        }
        Some("object" | "array") => 0,
        // Numbers, times and words of an enumeration.
        _ => 32,
    };
    properties + items + text
}

#[test]
fn a_status_at_all_its_bounds_stays_below_64_kib() {
    let mut status = field("status");
    // Conditions are Kubernetes' own type, without bounds: there are nine, of which at most two carry the
    // message of a failure, which fits a termination message.
    status
        .properties
        .as_mut()
        .and_then(|known| known.remove("conditions"));
    let conditions = 9 * 512 + 2 * blit_crds::outcome::MAX_TERMINATION_MESSAGE as i64;
    let longest = longest(&status, 0) + conditions;
    assert!(longest < 60 * 1024, "{longest} characters");
}

#[test]
fn the_definition_is_small_enough_for_kubectl_apply() {
    let json = serde_json::to_vec(&blit_crds::schema::crd()).unwrap();
    assert!(json.len() < MAX_CRD_BYTES, "{} bytes", json.len());
}
