//! The CustomResourceDefinition, made from the types.
//!
//! The derived schema is correct but not pretty; [`crd`] makes two changes. A parent's default
//! becomes `{}`, so that every default stands in one place, at its own field. And the types that are
//! Kubernetes' own lose the descriptions of their inner fields: they are documented there, they
//! repeat themselves three times under `mover`, and they would fill the 256 KiB that client-side
//! `kubectl apply` can handle.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;

use crate::mirrorjob::MirrorJob;

/// Fields whose types are Kubernetes' own.
const FOREIGN: [&str; 7] = [
    "affinity",
    "conditions",
    "imagePullSecrets",
    "resources",
    "seLinuxOptions",
    "selector",
    "tolerations",
];

/// Returns the definition of `mirrorjobs.blit.dev`.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = MirrorJob::crd();
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            tidy(schema);
        }
    }
    crd
}

/// Returns the definition as a YAML document.
///
/// # Errors
/// Fails when the definition cannot be written as YAML, which would be a fault of this crate.
pub fn crd_yaml() -> Result<String, serde_saphyr::SerializeError> {
    serde_saphyr::to_string(&crd())
}

/// Returns the schema of a whole document, with the fields that every Kubernetes object has. The
/// definition leaves those out because the API server knows them.
pub(crate) fn document_schema() -> JSONSchemaProps {
    let mut schema = crd()
        .spec
        .versions
        .into_iter()
        .find_map(|version| version.schema?.open_api_v3_schema)
        .unwrap_or_default();
    let text = JSONSchemaProps {
        type_: Some("string".to_owned()),
        ..JSONSchemaProps::default()
    };
    let properties = schema.properties.get_or_insert_default();
    properties.insert("apiVersion".to_owned(), text.clone());
    properties.insert("kind".to_owned(), text);
    properties.insert("metadata".to_owned(), metadata_schema());
    schema
        .required
        .get_or_insert_default()
        .push("metadata".to_owned());
    schema
}

fn metadata_schema() -> JSONSchemaProps {
    let schema = schemars::generate::SchemaSettings::openapi3()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<ObjectMeta>()
        .to_value();
    let mut schema: JSONSchemaProps = serde_json::from_value(schema).unwrap_or_default();
    schema.required = Some(vec!["name".to_owned()]);
    schema
}

fn tidy(schema: &mut JSONSchemaProps) {
    let Some(properties) = schema.properties.as_mut() else {
        return;
    };
    for (name, property) in properties {
        if FOREIGN.contains(&name.as_str()) {
            for_each_child(property, &mut strip_descriptions);
            continue;
        }
        if property.properties.is_some() && property.default.is_some() {
            property.default = Some(JSON(serde_json::json!({})));
        }
        tidy(property);
        for_each_child(property, &mut tidy_items);
    }
}

/// Reaches the properties of list items and map values; those of objects are reached by `tidy`.
fn tidy_items(schema: &mut JSONSchemaProps) {
    if schema.properties.is_some() {
        tidy(schema);
    }
}

fn strip_descriptions(schema: &mut JSONSchemaProps) {
    schema.description = None;
    for_each_child(schema, &mut strip_descriptions);
}

fn for_each_child(schema: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    if let Some(properties) = schema.properties.as_mut() {
        properties.values_mut().for_each(&mut *visit);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(items)) => visit(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(&mut *visit),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        visit(values);
    }
}
