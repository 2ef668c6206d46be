//! ARM ids as text: a scope is a lower-cased path, and contains what begins with it at a segment boundary.

/// The Machine Learning resource provider's namespace, as Azure writes it.
pub const ML: &str = "Microsoft.MachineLearningServices";

/// Lower-case, with one leading slash and none at the end: the key of every resource here.
pub fn key(id: &str) -> String {
    let trimmed = id.trim_matches('/').to_ascii_lowercase();
    format!("/{trimmed}")
}

/// True when `inner` is `outer` or lies under it. Both are keys; `/` contains everything.
pub fn contains(outer: &str, inner: &str) -> bool {
    outer == "/" || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// The last segment of an id.
pub fn leaf(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// The id without its last `n` segments.
pub fn up(id: &str, n: usize) -> &str {
    let mut rest = id;
    for _ in 0..n {
        rest = rest.rfind('/').map_or("", |at| &rest[..at]);
    }
    rest
}

/// The subscription of an id, as the id writes it; empty when there is none.
pub fn subscription(id: &str) -> &str {
    segment_after(id, "subscriptions")
}

/// The resource group of an id, as the id writes it; empty when there is none.
pub fn group(id: &str) -> &str {
    segment_after(id, "resourcegroups")
}

fn segment_after<'a>(id: &'a str, name: &str) -> &'a str {
    let mut segments = id.split('/');
    while let Some(s) = segments.next() {
        if s.eq_ignore_ascii_case(name) {
            return segments.next().unwrap_or("");
        }
    }
    ""
}

/// The id of a resource group.
pub fn group_id(sub: &str, group: &str) -> String {
    format!("/subscriptions/{sub}/resourceGroups/{group}")
}

/// The id of a workspace.
pub fn workspace_id(sub: &str, group: &str, workspace: &str) -> String {
    format!("{}/providers/{ML}/workspaces/{workspace}", group_id(sub, group))
}

/// Everything in `map` whose key lies strictly under `outer`, in the order of its ids.
pub fn under<'a, V>(
    map: &'a std::collections::BTreeMap<String, V>,
    outer: &str,
) -> impl Iterator<Item = (&'a String, &'a V)> {
    let prefix = format!("{}/", outer.trim_end_matches('/'));
    map.range(prefix.clone()..).take_while(move |(id, _)| id.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        for (outer, inner, yes) in [
            ("/", "/subscriptions/a", true),
            ("/subscriptions/a", "/subscriptions/a", true),
            ("/subscriptions/a", "/subscriptions/a/resourcegroups/g", true),
            ("/subscriptions/a", "/subscriptions/ab", false),
        ] {
            assert_eq!(contains(outer, inner), yes, "{outer} {inner}");
        }
        let id = "/subscriptions/S/resourceGroups/G/providers/X/workspaces/W";
        assert_eq!((subscription(id), group(id), leaf(id)), ("S", "G", "W"));
        assert_eq!(up(id, 4), "/subscriptions/S/resourceGroups/G");
        assert_eq!(key("subscriptions/S/"), "/subscriptions/s");
    }
}
