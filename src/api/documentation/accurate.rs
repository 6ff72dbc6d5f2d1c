//! Corrects what poem-openapi omits from the OpenAPI document or writes in a form that client generators do
//! not understand: nullable fields, enums with a description, examples, the order of tags.

#![allow(clippy::indexing_slicing, reason = "of JSON: a missing key is null, or is added")]

use serde_json::{Map, Value, json};

/// The tags in the order in which they are shown.
const TAGS: [&str; 6] = ["Prices", "Coverage", "Sources", "Operation", "Health", "Compatible"];
/// Fields that are omitted if they have no value; all other fields are null then.
const OMITTED: [(&str, &str); 3] =
    [("Problem", "parameter"), ("AveragePriceResponse", "covered"), ("CandleResponse", "reasons")];
/// The names of the queues.
const QUEUES: [&str; 2] = ["fetch_btc_ars", "housekeeping"];
/// Prefix of references to schemas.
const SCHEMAS: &str = "#/components/schemas/";
/// Example response of each operation, by operation id.
const EXAMPLES: &str = include_str!("examples.json");

/// Returns the corrected document.
pub(super) fn document(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap_or_default();
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object);
    let schemas = schemas.cloned().unwrap_or_default();
    let written =
        schemas.iter().map(|(name, schema)| (name.clone(), object(name, schema, &schemas)));
    let written: Map<String, Value> = written.collect();
    let is_used = |name: &str| {
        let reference = format!("{SCHEMAS}{name}\"");
        let of_others = written.values().any(|schema| schema.to_string().contains(&reference));
        of_others || document["paths"].to_string().contains(&reference)
    };
    let used = written.clone().into_iter().filter(|(name, _)| is_used(name)).collect();
    document["components"]["schemas"] = Value::Object(used);
    operations(&mut document["paths"]);
    if let Some(tags) = document["tags"].as_array_mut() {
        tags.sort_by_key(|tag| TAGS.iter().position(|name| tag["name"] == *name));
    }
    document
}

/// Returns the schema of an object: its fields are required, and nullable if they may have no value.
fn object(name: &str, schema: &Value, schemas: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(fields) = fields else { return schema };
    let is_always_present = |field: &str| !OMITTED.contains(&(name, field));
    for (field, described) in fields.iter_mut() {
        let is_nullable = is_always_present(field) && !required.iter().any(|name| name == field);
        *described = field_schema(described, is_nullable, schemas);
    }
    let present = fields.keys().filter(|field| is_always_present(field));
    schema["required"] = json!(present.cloned().collect::<Vec<String>>());
    schema
}

/// Returns the schema of a field. The schema of an enum or of a nullable object is inlined, because a
/// reference can be combined neither with a description nor with `nullable`.
fn field_schema(field: &Value, is_nullable: bool, schemas: &Map<String, Value>) -> Value {
    let mut field = field.clone();
    let reference = field.pointer("/allOf/0/$ref").and_then(Value::as_str);
    let reference = reference.and_then(|path| path.strip_prefix(SCHEMAS)).map(str::to_owned);
    if let Some(name) = reference {
        let description = field["description"].clone();
        let target = schemas.get(&name).cloned().unwrap_or_default();
        if is_nullable || target.get("enum").is_some() {
            field = object(&name, &target, schemas);
            if let Some(field) = field.as_object_mut() {
                field.remove("title");
            }
            field["description"] = description;
        } else {
            field = json!({
                "description": description, "allOf": [{"$ref": format!("{SCHEMAS}{name}")}],
            });
        }
    }
    if is_nullable {
        field["nullable"] = json!(true);
    }
    field
}

fn operations(paths: &mut Value) {
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let methods = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in methods.filter_map(|methods| methods.get_mut("get")) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if let Some(example) = example_of(&name) {
                parameter["schema"]["example"] = example;
            }
            if name == "queue" {
                parameter["schema"] =
                    json!({"type": "string", "enum": QUEUES, "example": QUEUES[0]});
            }
            if let Some(schema) = compatible_parameter(&name) {
                parameter["schema"] = schema;
                parameter["required"] = json!(true);
            }
        }
        let content = operation.pointer_mut("/responses/200/content/application~1json");
        if let (Some(content), Some(example)) = (content, examples.get(&id)) {
            content["example"] = example.clone();
        }
        if operation["responses"].get("400").is_some() {
            operation["responses"]["429"] = too_many();
        }
    }
}

/// Returns an example of a parameter. Times are relative to now, so that prices exist for them.
fn example_of(parameter: &str) -> Option<Value> {
    match parameter {
        "since" => Some(json!("-1h")),
        "until" | "at" | "timestamp" => Some(json!("now")),
        "max_age" => Some(json!("1h")),
        "Last-Event-ID" => Some(json!(1_717_184_860)),
        "reasons" => Some(json!(false)),
        _ => None,
    }
}

/// Returns the schema of a parameter of the compatible endpoints. These parameters are read as text, so that
/// an invalid or missing value gets the same error as in the original API.
fn compatible_parameter(parameter: &str) -> Option<Value> {
    let text = |pattern: &str, example: &str| {
        Some(json!({"type": "string", "pattern": pattern, "example": example}))
    };
    match parameter {
        "id" => text("^bitcoin$", "bitcoin"),
        "ids" => Some(json!({"type": "string", "example": "bitcoin"})),
        "vs_currency" | "fiat" => text("^(ars|ARS)$", "ars"),
        "vs_currencies" => Some(json!({"type": "string", "example": "ars"})),
        "days" => text("^([1-9][0-9]{0,5}|max)$", "1"),
        "from" => Some(json!({"type": "integer", "minimum": 0, "maximum": 253_402_300_799_i64,
            "example": 1_717_098_464})),
        "to" => Some(json!({"type": "integer", "minimum": 0, "maximum": 253_402_300_799_i64,
            "example": 1_717_184_864})),
        "exchange" => text("^[a-z0-9_-]{1,32}$", "buenbit"),
        "coin" => text("^(btc|BTC)$", "btc"),
        "volume" => Some(json!({"type": "number", "minimum": 0, "exclusiveMinimum": true,
            "example": 0.1})),
        _ => None,
    }
}

/// Returns the description of the response 429.
fn too_many() -> Value {
    json!({
        "description": "Too many requests from this address; only if the operator sets a limit.",
        "content": {"application/problem+json": {"schema": {"$ref": format!("{SCHEMAS}Problem")}}},
        "headers": {"Retry-After": {
            "description": "Number of seconds after which to retry.",
            "required": true, "deprecated": false,
            "schema": {"type": "integer", "format": "uint64"},
        }},
    })
}
