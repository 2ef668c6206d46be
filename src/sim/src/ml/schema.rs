//! Checking a body against a table of fields: unknown names, missing ones, wrong types.

use super::ctx::{UnknownFields, bad_content};
use crate::front::refusal::Outcome;
use serde_json::Value;

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Whole,
    /// true or false.
    Truth,
    /// A string of a closed list, without case.
    OneOf(&'static [&'static str]),
    /// An object of strings.
    Texts,
    /// An object of such things.
    Dict(&'static Kind),
    /// A list of such things.
    List(&'static Kind),
    /// An object: its type's name, for messages, and its fields.
    Object(&'static str, &'static [Field]),
    /// The same, and any other field beside them.
    Open(&'static str, &'static [Field]),
    /// Anything.
    Any,
}

/// Whether a field must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Must be there and not be null.
    Required,
    /// May be there.
    Optional,
    /// May be there and is ignored: what a GET gave back.
    ReadOnly,
}

/// One field.
#[derive(Clone, Copy)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Need.
    pub need: Need,
    /// Kind.
    pub kind: Kind,
}

/// A required field.
pub const fn req(name: &'static str, kind: Kind) -> Field {
    Field { name, need: Need::Required, kind }
}

/// An optional field.
pub const fn opt(name: &'static str, kind: Kind) -> Field {
    Field { name, need: Need::Optional, kind }
}

/// A read-only field.
pub const fn ro(name: &'static str) -> Field {
    Field { name, need: Need::ReadOnly, kind: Kind::Any }
}

/// Check `value` and take out what doesn't count: read-only fields, and (where so set) unknown ones.
///
/// # Errors
/// 400 in the deserializer's words, with the path.
pub fn check(value: &mut Value, kind: &Kind, unknown: UnknownFields) -> Outcome<()> {
    walk(value, kind, "", unknown).map_err(|why| bad_content(&why))
}

fn walk(value: &mut Value, kind: &Kind, path: &str, unknown: UnknownFields) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let wrong = |value: &Value, wanted: &str| {
        Err(format!("Error converting value {} to type '{wanted}'. Path '{path}'", brief(value)))
    };
    match kind {
        Kind::Any => Ok(()),
        Kind::Text if value.is_string() => Ok(()),
        Kind::Text => wrong(value, "System.String"),
        Kind::Whole if value.is_i64() || value.is_u64() => Ok(()),
        Kind::Whole => wrong(value, "System.Int32"),
        Kind::Truth if value.is_boolean() => Ok(()),
        Kind::Truth => wrong(value, "System.Boolean"),
        Kind::OneOf(names) => match value.as_str() {
            Some(text) if names.iter().any(|n| n.eq_ignore_ascii_case(text)) => Ok(()),
            _ => wrong(value, &names.join("|")),
        },
        Kind::Texts => each(value, &Kind::Text, path, unknown),
        Kind::Dict(inner) => each(value, inner, path, unknown),
        Kind::List(inner) => match value.as_array_mut() {
            Some(items) => items
                .iter_mut()
                .enumerate()
                .try_for_each(|(i, item)| walk(item, inner, &format!("{path}[{i}]"), unknown)),
            None => wrong(value, "System.Collections.Generic.List"),
        },
        Kind::Object(name, fields) => object(value, name, fields, path, Some(unknown)),
        Kind::Open(name, fields) => object(value, name, fields, path, None),
    }
}

fn each(value: &mut Value, inner: &Kind, path: &str, unknown: UnknownFields) -> Result<(), String> {
    match value.as_object_mut() {
        Some(map) => map.iter_mut().try_for_each(|(k, v)| walk(v, inner, &join(path, k), unknown)),
        None => Err(format!(
            "Error converting value {} to type 'System.Collections.Generic.Dictionary'. Path '{path}'",
            brief(value)
        )),
    }
}

/// Check an object; `unknown` is nothing where further fields are welcome.
fn object(
    value: &mut Value,
    name: &str,
    fields: &[Field],
    path: &str,
    unknown: Option<UnknownFields>,
) -> Result<(), String> {
    let shown = brief(value);
    let Some(map) = value.as_object_mut() else {
        return Err(format!("Error converting value {shown} to type '{name}'. Path '{path}'"));
    };
    let known = |key: &str| fields.iter().find(|f| f.name == key);
    if unknown == Some(UnknownFields::Refused)
        && let Some(key) = map.keys().find(|k| known(k).is_none())
    {
        return Err(format!("Could not find member '{key}' on object of type '{name}'. Path '{}'", join(path, key)));
    }
    map.retain(|key, _| known(key).map_or(unknown.is_none(), |f| f.need != Need::ReadOnly));
    for field in fields {
        match map.get_mut(field.name) {
            None | Some(Value::Null) if field.need == Need::Required => {
                return Err(format!(
                    "Required property '{}' not found in JSON. Path '{}'",
                    field.name,
                    join(path, field.name)
                ));
            }
            Some(inner) => {
                walk(inner, &field.kind, &join(path, field.name), unknown.unwrap_or(UnknownFields::Refused))?
            }
            None => {}
        }
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

/// A value in a message: never an object's content, which may hold secrets.
fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "{...}".into(),
        Value::Array(_) => "[...]".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const INNER: Kind = Kind::Object("Inner", &[req("max", Kind::Whole), opt("min", Kind::Whole), ro("state")]);
    const OUTER: Kind = Kind::Object(
        "Outer",
        &[opt("inner", INNER), opt("tags", Kind::Texts), opt("os", Kind::OneOf(&["Linux", "Windows"]))],
    );

    #[test]
    fn strict() {
        for (body, wrong) in [
            (json!({"inner": {"max": 1, "state": "x"}, "tags": {"a": "b"}, "os": "linux"}), None),
            (json!({"inner": null}), None),
            (json!({"inner": {"max": 1, "mux": 2}}), Some("'mux' on object of type 'Inner'. Path 'inner.mux'")),
            (json!({"inner": {"min": 1}}), Some("Required property 'max'")),
            (json!({"inner": {"max": "1"}}), Some("System.Int32")),
            (json!({"tags": {"a": 1}}), Some("Path 'tags.a'")),
            (json!({"os": "BSD"}), Some("Linux|Windows")),
        ] {
            let got = check(&mut body.clone(), &OUTER, UnknownFields::Refused);
            match wrong {
                None => assert!(got.is_ok(), "{body} {got:?}"),
                Some(words) => assert!(got.unwrap_err().message.contains(words), "{body}"),
            }
        }
    }

    #[test]
    fn lenient_drops_what_it_does_not_know() {
        let mut body = json!({"inner": {"max": 1, "mux": 2, "state": "x"}});
        check(&mut body, &OUTER, UnknownFields::Dropped).unwrap();
        assert_eq!(body, json!({"inner": {"max": 1}}));
    }
}
