//! Holds a document against the schema of the CustomResourceDefinition, as an API server does.
//!
//! Only the keywords that the schema uses are known. CEL rules are the business of
//! [`crate::validation`].

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use super::tree::{Content, Node};
use crate::finding::Finding;
use crate::schema;

/// Returns everything that the schema has against a `MirrorJob`.
pub(super) fn against_schema(document: &Node) -> Vec<Finding> {
    // It takes longer to make than a manifest to read.
    static SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(schema::document_schema);
    let mut check = Check {
        findings: Vec::new(),
    };
    check.value(document, &SCHEMA, "");
    check.findings
}

struct Check {
    findings: Vec<Finding>,
}

impl Check {
    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) {
        if node.is_null() && schema.nullable == Some(true) {
            return;
        }
        if schema.x_kubernetes_int_or_string == Some(true) {
            return self.int_or_string(node, schema, path);
        }
        match (schema.type_.as_deref(), &node.content) {
            (Some("object"), Content::Map(fields)) => self.object(node, fields, schema, path),
            (Some("array"), Content::List(items)) => self.list(node, items, schema, path),
            (Some("string"), Content::Scalar(Value::String(text))) => {
                self.string(node, text, schema, path);
            }
            (Some("integer"), Content::Scalar(Value::Number(number))) => {
                self.integer(node, number, schema, path);
            }
            (Some("boolean"), Content::Scalar(Value::Bool(_))) | (None, _) => {}
            (Some(wanted), _) => self.wrong_type(node, wanted, path),
        }
    }

    fn object(
        &mut self,
        node: &Node,
        fields: &[(String, Node)],
        schema: &JSONSchemaProps,
        path: &str,
    ) {
        self.one_of(node, schema, path);
        for name in schema.required.iter().flatten() {
            if node.get(name).is_none() {
                self.report(
                    node.line,
                    &join(path, name),
                    "is missing",
                    required_remedy(schema, name),
                );
            }
        }
        if let Some(most) = schema.max_properties
            && fields.len() as i64 > most
        {
            self.report(
                node.line,
                path,
                format!("has {} entries", fields.len()),
                at_most(most),
            );
        }
        let known = schema.properties.as_ref();
        let values = match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&**values),
            _ => None,
        };
        let open = schema.x_kubernetes_preserve_unknown_fields == Some(true) || known.is_none();
        for (name, field) in fields {
            let path = join(path, name);
            match known.and_then(|known| known.get(name)).or(values) {
                Some(schema) => self.value(field, schema, &path),
                None if open => {}
                None => {
                    let names = known.into_iter().flatten().map(|(name, _)| name.as_str());
                    self.report(
                        field.line,
                        &path,
                        "is not a known field",
                        unknown_remedy(name, names),
                    );
                }
            }
        }
    }

    /// A one-of is a list of alternatives, each of which requires one field.
    fn one_of(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) {
        let names: Vec<&str> = schema
            .one_of
            .iter()
            .flatten()
            .flat_map(|alternative| alternative.required.iter().flatten())
            .map(String::as_str)
            .collect();
        let given: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| node.get(name).is_some())
            .collect();
        if names.is_empty() || given.len() == 1 {
            return;
        }
        let message = if given.is_empty() {
            "names nothing".to_owned()
        } else {
            format!("has both {}", given.join(" and "))
        };
        self.report(
            node.line,
            path,
            message,
            format!("give exactly one of {}", names.join(", ")),
        );
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &JSONSchemaProps, path: &str) {
        if let Some(most) = schema.max_items
            && items.len() as i64 > most
        {
            self.report(
                node.line,
                path,
                format!("has {} items", items.len()),
                at_most(most),
            );
        }
        if let Some(least) = schema.min_items
            && (items.len() as i64) < least
        {
            self.report(
                node.line,
                path,
                "has too few items",
                format!("give at least {least}"),
            );
        }
        if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.value(item, schema, &format!("{path}[{index}]"));
            }
        }
    }

    fn string(&mut self, node: &Node, text: &str, schema: &JSONSchemaProps, path: &str) {
        if let Some(allowed) = &schema.enum_ {
            let allowed: Vec<&str> = allowed
                .iter()
                .filter_map(|value| value.0.as_str())
                .collect();
            if !allowed.contains(&text) {
                let remedy = format!("write one of {}", allowed.join(", "));
                self.report(node.line, path, format!("is `{text}`"), remedy);
            }
        }
        let length = text.chars().count() as i64;
        if let Some(most) = schema.max_length
            && length > most
        {
            self.report(
                node.line,
                path,
                format!("has {length} characters"),
                format!("write at most {most}"),
            );
        }
        if let Some(least) = schema.min_length
            && length < least
        {
            self.report(
                node.line,
                path,
                "is too short",
                format!("write at least {least} character"),
            );
        }
    }

    fn integer(
        &mut self,
        node: &Node,
        number: &serde_json::Number,
        schema: &JSONSchemaProps,
        path: &str,
    ) {
        let Some(value) = number.as_i64() else {
            return self.wrong_type(node, "integer", path);
        };
        let least = schema.minimum.unwrap_or(f64::NEG_INFINITY);
        if (value as f64) < least {
            self.report(
                node.line,
                path,
                format!("is {value}"),
                format!("write at least {least}"),
            );
        }
        let most = match (schema.maximum, schema.format.as_deref()) {
            (Some(most), _) => most,
            (None, Some("int32")) => f64::from(i32::MAX),
            (None, _) => f64::INFINITY,
        };
        if value as f64 > most {
            self.report(
                node.line,
                path,
                format!("is {value}"),
                format!("write at most {most}"),
            );
        }
    }

    fn int_or_string(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) {
        match &node.content {
            Content::Scalar(Value::String(text)) => self.string(node, text, schema, path),
            Content::Scalar(Value::Number(number)) if number.is_i64() => {}
            _ => self.wrong_type(node, "number or string", path),
        }
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str, path: &str) {
        let remedy = match (wanted, &node.content) {
            // YAML reads `n` and `off` as false, so the value may not be what was written.
            ("string", Content::Scalar(Value::Bool(_))) => "put it in quotes".to_owned(),
            ("string", Content::Scalar(value)) if !value.is_null() => {
                format!("write it in quotes: \"{value}\"")
            }
            ("object", _) => "write fields below it, indented".to_owned(),
            ("array", _) => "write items below it, each with `- `".to_owned(),
            ("boolean", _) => "write true or false".to_owned(),
            ("integer", _) => "write a whole number without quotes".to_owned(),
            _ => format!("write a {wanted}"),
        };
        let path = if path.is_empty() { "MirrorJob" } else { path };
        self.report(node.line, path, format!("is `{}`", node.text()), remedy);
    }

    fn report(
        &mut self,
        line: u64,
        path: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            line: Some(line),
            ..Finding::new(path, message, remedy)
        });
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn at_most(most: i64) -> String {
    format!("give at most {most}")
}

/// The allowed values of a missing field, where they are few; else its description.
fn required_remedy(schema: &JSONSchemaProps, name: &str) -> String {
    let field = schema.properties.as_ref().and_then(|known| known.get(name));
    let choices: Vec<&str> = field
        .and_then(|field| field.enum_.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|value| value.0.as_str())
        .collect();
    if choices.is_empty() {
        return format!("add `{name}:`");
    }
    format!("add `{name}:` with one of {}", choices.join(", "))
}

/// Names the field that was meant, or those that there are.
fn unknown_remedy<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let nearest = known
        .iter()
        .map(|candidate| {
            (
                distance(&name.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .min();
    match nearest {
        Some((0..=2, candidate)) => format!("did you mean `{candidate}`?"),
        _ => format!("the fields here are {}", known.join(", ")),
    }
}

/// Edits that turn one word into another (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
