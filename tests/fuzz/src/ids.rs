//! ARM ids: what is read is printed as it was, compares without case, and comes apart and together again.

use std::collections::HashSet;

use azureml_arm::ResourceId;

/// The input is an id, and after a line break a name for a child.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, name) = text.split_once('\n').unwrap_or((text, "gpu"));
    let Ok(id) = ResourceId::parse(text) else { return };
    assert_eq!(id.as_str(), text.strip_suffix('/').unwrap_or(text));
    assert_eq!(id.to_string(), id.as_str());
    same(&id, &ResourceId::parse(id.as_str()).expect("an id is an id again"));
    for recased in [text.to_ascii_uppercase(), text.to_ascii_lowercase()] {
        same(&id, &ResourceId::parse(&recased).expect("case doesn't matter"));
    }
    let json = serde_json::to_string(&id).expect("an id is a text");
    same(&id, &serde_json::from_str(&json).expect("and is read back"));
    parts(&id);
    ancestors(&id);
    if id.provider().is_some() && !name.is_empty() {
        children(&id, name);
    }
}

fn same(a: &ResourceId, b: &ResourceId) {
    assert_eq!(a, b);
    assert_eq!((a.key(), a.cmp(b)), (b.key(), std::cmp::Ordering::Equal));
    assert_eq!(HashSet::from([a.clone(), b.clone()]).len(), 1);
}

fn parts(id: &ResourceId) {
    assert!(!id.subscription().is_empty() && !id.name().is_empty());
    assert!(id.as_str().ends_with(id.name()));
    assert!(id.resource_type().contains('/'));
    if let Some(provider) = id.provider() {
        assert!(id.resource_type().starts_with(&format!("{provider}/")), "{id}: {}", id.resource_type());
    }
}

/// Up to the subscription, each a true prefix of the one below it.
fn ancestors(id: &ResourceId) {
    let mut at = id.clone();
    while let Some(parent) = at.parent() {
        same(&parent, &ResourceId::parse(parent.as_str()).unwrap_or_else(|error| panic!("parent of {at}: {error}")));
        assert!(parent.as_str().len() < at.as_str().len() && at.as_str().starts_with(parent.as_str()));
        assert_eq!(
            (
                parent.subscription(),
                parent.resource_group().is_none() || parent.resource_group() == id.resource_group()
            ),
            (id.subscription(), true)
        );
        let of_resource = at.provider().is_some() && !at.name().contains('%');
        let type_ = at.resource_type();
        // A resource of a type in its parent, or the first of a provider.
        if of_resource && let Some((provider, last)) = type_.rsplit_once('/') {
            let below = at.as_str()[parent.as_str().len()..].to_ascii_lowercase().starts_with("/providers/");
            let type_ = if below {
                format!("{}/{last}", provider.split('/').next().unwrap_or_default())
            } else {
                last.to_owned()
            };
            same(&at, &parent.child(&type_, at.name()));
        }
        at = parent;
    }
    assert_eq!(at.resource_type(), "Microsoft.Resources/subscriptions", "{id}");
}

/// No name leaves its segment.
fn children(id: &ResourceId, name: &str) {
    let child = id.child("computes", name);
    same(&child, &ResourceId::parse(child.as_str()).unwrap_or_else(|error| panic!("{name:?} in {id}: {error}")));
    same(id, &child.parent().expect("a child has a parent"));
    assert_eq!(child.resource_type(), format!("{}/computes", id.resource_type()));
}
