//! What poem-openapi leaves out of the OpenAPI document or writes in a way that generators of clients do
//! not understand: null, enums with a description, examples, the order of tags.

#![allow(clippy::indexing_slicing, reason = "of JSON: what is not there is null, or is added")]

use serde_json::{Map, Value, json};

/// The tags in the order of use.
const TAGS: [&str; 6] = ["Prices", "Coverage", "Sources", "Operation", "Health", "Compatible"];
/// Fields that are left out where there is no value; all others are null then.
const LEFT_OUT: [(&str, &str); 3] =
    [("Problem", "parameter"), ("AveragePriceResponse", "covered"), ("CandleResponse", "reasons")];
/// The names of the queues.
const QUEUES: [&str; 2] = ["fetch_btc_ars", "housekeeping"];
/// Where the schemas are, as references write it.
const SCHEMAS: &str = "#/components/schemas/";
/// An answer of each operation, by its id.
const EXAMPLES: &str = include_str!("examples.json");

/// The document as it should be.
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

/// The schema of an object: each of its fields is there, and null if there is no value.
fn object(name: &str, schema: &Value, schemas: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(fields) = fields else { return schema };
    let is_there = |field: &str| !LEFT_OUT.contains(&(name, field));
    for (field, described) in fields.iter_mut() {
        let is_nullable = is_there(field) && !required.iter().any(|name| name == field);
        *described = field_schema(described, is_nullable, schemas);
    }
    let there: Vec<String> = fields.keys().filter(|field| is_there(field)).cloned().collect();
    schema["required"] = json!(there);
    schema
}

/// The schema of a field. One that is an enum, or an object or null, has the schema in itself: a reference
/// can have neither a description nor null beside it.
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
            if let Some(schema) = foreign(&name) {
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

/// An example of a parameter: a time is relative to now, so that something is recorded there.
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

/// The schema of a parameter of other APIs. These are read as text, so that what is wrong or missing is
/// answered as the original answers it.
fn foreign(parameter: &str) -> Option<Value> {
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

/// The answer to a client that asks too often.
fn too_many() -> Value {
    json!({
        "description": "Too many requests from this address, where the operator has set a limit.",
        "content": {"application/problem+json": {"schema": {"$ref": format!("{SCHEMAS}Problem")}}},
        "headers": {"Retry-After": {
            "description": "Seconds after which to try again.",
            "required": true, "deprecated": false,
            "schema": {"type": "integer", "format": "uint64"},
        }},
    })
}
