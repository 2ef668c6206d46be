//! ARM resource ids. Azure compares them without case and answers with whatever case it
//! likes, so equality, order and hash use the lower-cased text.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a subscription or of anything in it:
/// `/subscriptions/S[/resourceGroups/G][/providers/NS/type/name[/type/name]…]`,
/// where a further `/providers/NS/type/name` is an extension of the resource before it.
///
/// Displays and serializes as it was given; compares without case.
#[derive(Clone)]
pub struct ResourceId {
    text: String,
    key: String,
}

/// Why a text isn't a resource id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an Azure resource id: {reason}")]
pub struct InvalidResourceId {
    /// The text, shortened to 200 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ResourceId {
    /// Reads an id. One trailing slash is dropped.
    ///
    /// # Errors
    /// When the text doesn't start with `/subscriptions/S`, when types and names don't
    /// come in pairs, or when a segment is empty, `.`, `..` or holds `?`, `#`, `\` or a
    /// control character.
    pub fn parse(text: &str) -> Result<Self, InvalidResourceId> {
        let text = text.strip_suffix('/').unwrap_or(text);
        check(text).map_err(|reason| InvalidResourceId { text: text.chars().take(200).collect(), reason })?;
        Ok(Self::trusted(text.to_owned()))
    }

    /// The id of a resource in a resource group. `type_` and `name` may have several
    /// segments each, as in (`workspaces/computes`, `ws/gpu`).
    ///
    /// # Errors
    /// As [`ResourceId::parse`], and when types and names differ in number.
    pub fn new_under_group(
        subscription: &str,
        group: &str,
        provider: &str,
        type_: &str,
        name: &str,
    ) -> Result<Self, InvalidResourceId> {
        let mut text = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{provider}");
        let (types, names) = (type_.split('/'), name.split('/'));
        let same_number = types.clone().count() == names.clone().count();
        for (segment, name) in types.zip(names) {
            text.push('/');
            text.push_str(segment);
            text.push('/');
            text.push_str(name);
        }
        if !same_number {
            return Err(InvalidResourceId { text, reason: "it has not as many names as types" });
        }
        let one_segment_each = [subscription, group, provider].iter().all(|part| !part.contains('/'));
        if !one_segment_each {
            return Err(InvalidResourceId {
                text,
                reason: "a subscription, group or provider must not contain a slash",
            });
        }
        Self::parse(&text)
    }

    /// The id of a resource below this one. A `type_` with a provider (`NS/type`) makes
    /// an extension, or the first resource of a group. Whatever in `name` could change
    /// the id's structure is percent-encoded.
    pub fn child(&self, type_: &str, name: &str) -> Self {
        let joint = if type_.contains('/') { "/providers/" } else { "/" };
        Self::trusted(format!("{}{joint}{type_}/{}", self.text, one_segment(name)))
    }

    /// The resource, group or subscription that holds this one; `None` for a subscription.
    pub fn parent(&self) -> Option<Self> {
        let segments: Vec<&str> = self.segments().collect();
        let count = segments.len();
        let cut = match last_provider(&segments) {
            // The only resource below its provider: the provider goes with it.
            Some(at) if count == at + 4 => at,
            _ if count <= 2 => return None,
            _ => count - 2,
        };
        let mut text = String::new();
        for segment in &segments[..cut] {
            text.push('/');
            text.push_str(segment);
        }
        Some(Self::trusted(text))
    }

    /// The subscription's id.
    pub fn subscription(&self) -> &str {
        self.segments().nth(1).unwrap_or_default()
    }

    /// The resource group's name, if it is in one.
    pub fn resource_group(&self) -> Option<&str> {
        let is_group = self.segments().nth(2)?.eq_ignore_ascii_case("resourceGroups");
        self.segments().nth(3).filter(|_| is_group)
    }

    /// The (last) provider's namespace; `None` for a subscription or a group.
    pub fn provider(&self) -> Option<&str> {
        let segments: Vec<&str> = self.segments().collect();
        segments.get(last_provider(&segments)? + 1).copied()
    }

    /// The type with its provider, such as `Microsoft.MachineLearningServices/workspaces/computes`;
    /// `Microsoft.Resources/subscriptions` and `…/resourceGroups` for those.
    pub fn resource_type(&self) -> String {
        let segments: Vec<&str> = self.segments().collect();
        match last_provider(&segments) {
            Some(at) => {
                let mut full = segments[at + 1].to_owned();
                for type_ in segments[at + 2..].iter().step_by(2) {
                    full.push('/');
                    full.push_str(type_);
                }
                full
            }
            None if self.resource_group().is_some() => "Microsoft.Resources/resourceGroups".into(),
            None => "Microsoft.Resources/subscriptions".into(),
        }
    }

    /// The last segment.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The lower-cased text, for use as a key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn trusted(text: String) -> Self {
        let key = text.to_lowercase();
        Self { text, key }
    }

    fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }
}

fn is_providers(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("providers")
}

/// Where the last `providers` stands that is no name: in the place of a type. `None` without any.
fn last_provider(segments: &[&str]) -> Option<usize> {
    let in_group = segments.get(2).is_some_and(|word| word.eq_ignore_ascii_case("resourceGroups"));
    let mut at = if in_group { 4 } else { 2 };
    let mut last = None;
    while let Some(word) = segments.get(at) {
        if is_providers(word) {
            last = Some(at);
            // The namespace, and the type and name that it needs.
            at += 4;
        } else {
            at += 2;
        }
    }
    last
}

/// What is wrong with an id, or nothing.
fn check(text: &str) -> Result<(), &'static str> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err("it must start with a slash");
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if !segments.iter().all(|segment| is_segment(segment)) {
        return Err("a segment is empty, is a dot segment, or holds ?, #, \\ or a control character");
    }
    if segments.len() < 2 || !segments[0].eq_ignore_ascii_case("subscriptions") {
        return Err("it must start with /subscriptions/ and a subscription id");
    }
    let rest = match segments.get(2) {
        Some(word) if word.eq_ignore_ascii_case("resourceGroups") => {
            if segments.len() < 4 {
                return Err("the resource group's name is missing");
            }
            &segments[4..]
        }
        _ => &segments[2..],
    };
    check_providers(rest)
}

/// Checks `providers/NS/type/name[/type/name]…`, any number of times.
fn check_providers(mut rest: &[&str]) -> Result<(), &'static str> {
    while let Some((word, after)) = rest.split_first() {
        if !is_providers(word) {
            return Err("after a subscription or group, /providers/ is expected");
        }
        // The namespace, then pairs of a type and a name, which may itself be `providers`.
        let [_, _, _, more @ ..] = after else {
            return Err("a provider needs pairs of a type and a name");
        };
        rest = more;
        while let [type_, after @ ..] = rest
            && !is_providers(type_)
        {
            let [_, more @ ..] = after else {
                return Err("a provider needs pairs of a type and a name");
            };
            rest = more;
        }
    }
    Ok(())
}

fn is_segment(segment: &str) -> bool {
    let dots = segment.to_ascii_lowercase().replace("%2e", ".");
    !segment.is_empty()
        && dots != "."
        && dots != ".."
        && !segment.chars().any(|c| c.is_control() || matches!(c, '?' | '#' | '\\'))
}

/// A name as one path segment: what would end or redirect the segment is encoded.
fn one_segment(name: &str) -> String {
    if name == "." || name == ".." {
        return name.replace('.', "%252E");
    }
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '/' | '\\' | '?' | '#' | '%' => text.push_str(&format!("%{:02X}", c as u32)),
            c if c.is_control() => text.push('_'),
            c => text.push(c),
        }
    }
    text
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for ResourceId {}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceId({})", self.text)
    }
}

impl FromStr for ResourceId {
    type Err = InvalidResourceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPUTE: &str = "/subscriptions/0000/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces/ws/computes/gpu";

    #[test]
    fn takes_ids_apart() {
        struct Row(
            &'static str,
            Option<&'static str>,
            Option<&'static str>,
            &'static str,
            &'static str,
            Option<&'static str>,
        );
        let rows = [
            Row("/subscriptions/s", None, None, "Microsoft.Resources/subscriptions", "s", None),
            Row(
                "/Subscriptions/s/resourcegroups/g",
                Some("g"),
                None,
                "Microsoft.Resources/resourceGroups",
                "g",
                Some("/subscriptions/s"),
            ),
            Row(
                COMPUTE,
                Some("ml-rg"),
                Some("Microsoft.MachineLearningServices"),
                "Microsoft.MachineLearningServices/workspaces/computes",
                "gpu",
                Some(
                    "/subscriptions/0000/resourceGroups/ml-rg/providers/Microsoft.MachineLearningServices/workspaces/ws",
                ),
            ),
            Row(
                "/subscriptions/s/resourceGroups/g/providers/N.A/t/x",
                Some("g"),
                Some("N.A"),
                "N.A/t",
                "x",
                Some("/subscriptions/s/resourceGroups/g"),
            ),
            Row(
                "/subscriptions/s/resourceGroups/g/providers/N.A/t/x/PROVIDERS/N.B/locks/l",
                Some("g"),
                Some("N.B"),
                "N.B/locks",
                "l",
                Some("/subscriptions/s/resourceGroups/g/providers/N.A/t/x"),
            ),
            Row(
                "/subscriptions/s/providers/N.A/locations/west",
                None,
                Some("N.A"),
                "N.A/locations",
                "west",
                Some("/subscriptions/s"),
            ),
            Row(
                "/subscriptions/providers/resourceGroups/providers/providers/N.A/t/providers",
                Some("providers"),
                Some("N.A"),
                "N.A/t",
                "providers",
                Some("/subscriptions/providers/resourceGroups/providers"),
            ),
            Row(
                "/subscriptions/s/providers/N.A/t/providers/u/v",
                None,
                Some("N.A"),
                "N.A/t/u",
                "v",
                Some("/subscriptions/s/providers/N.A/t/providers"),
            ),
        ];
        for Row(text, group, provider, type_, name, parent) in rows {
            let id = ResourceId::parse(text).unwrap();
            assert_eq!(id.resource_group(), group, "{text}");
            assert_eq!(id.provider(), provider, "{text}");
            assert_eq!(id.resource_type(), type_, "{text}");
            assert_eq!(id.name(), name, "{text}");
            assert_eq!(id.parent(), parent.map(|p| ResourceId::parse(p).unwrap()), "{text}");
            assert_eq!(id.to_string(), text);
        }
        assert_eq!(ResourceId::parse(COMPUTE).unwrap().subscription(), "0000");
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in [
            "",
            "/",
            "subscriptions/s",
            "/subscriptions",
            "/subscriptions/",
            "/tenants/t",
            "/subscriptions/s/resourceGroups",
            "/subscriptions/s/other/x",
            "/subscriptions/s/resourceGroups/g/x",
            "/subscriptions/s/providers/N.A",
            "/subscriptions/s/providers/N.A/t",
            "/subscriptions/s/providers/N.A/t/x/u",
            "/subscriptions/s/providers/N.A/t/../x/y",
            "/subscriptions/s/providers/N.A/t/%2E%2e",
            "/subscriptions/s//providers/N.A/t/x",
            "/subscriptions/s/providers/N.A/t/x?y=z",
            "/subscriptions/s/providers/N.A/t/x#y",
            "/subscriptions/s/providers/N.A/t/x\\y",
            "/subscriptions/s/providers/N.A/t/x\ny",
        ] {
            assert!(ResourceId::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn builds_ids() {
        let workspace =
            ResourceId::new_under_group("0000", "ml-rg", "Microsoft.MachineLearningServices", "workspaces", "ws")
                .unwrap();
        assert_eq!(workspace.child("computes", "gpu").as_str(), COMPUTE);
        let nested = ResourceId::new_under_group(
            "0000",
            "ml-rg",
            "Microsoft.MachineLearningServices",
            "workspaces/computes",
            "ws/gpu",
        );
        assert_eq!(nested.unwrap().as_str(), COMPUTE);
        assert!(ResourceId::new_under_group("0", "g", "N", "a/b", "x").is_err());
        assert!(ResourceId::new_under_group("0", "g/h", "N", "a", "x").is_err());
        let lock = workspace.child("Microsoft.Authorization/locks", "l");
        assert_eq!(lock.resource_type(), "Microsoft.Authorization/locks");
        assert_eq!(lock.parent(), Some(workspace));
    }

    #[test]
    fn a_childs_name_cannot_leave_its_segment() {
        let workspace = ResourceId::parse("/subscriptions/s/resourceGroups/g").unwrap();
        for name in ["../x", "a/b", "..", ".", "a?b", "a#b", "a\\b", "a\nb", "%2e%2e"] {
            let child = workspace.child("N.A/t", name);
            assert_eq!(ResourceId::parse(child.as_str()).as_ref(), Ok(&child), "{name:?}");
            assert_eq!(child.parent().as_ref(), Some(&workspace), "{name:?}");
        }
    }

    fn segment() -> impl Strategy<Value = String> {
        "[A-Za-z0-9_()\u{e4}\u{130}. -]{1,12}".prop_filter("no keyword or dot segment", |text| {
            !matches!(text.to_lowercase().as_str(), "." | ".." | "providers" | "resourcegroups")
        })
    }

    proptest! {
        #[test]
        fn round_trips_and_compares_without_case(
            subscription in segment(),
            group in segment(),
            pairs in prop::collection::vec((segment(), segment()), 1..4),
        ) {
            let mut text = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.X");
            for (type_, name) in &pairs {
                text.push_str(&format!("/{type_}/{name}"));
            }
            let id = ResourceId::parse(&text).unwrap();
            prop_assert_eq!(id.as_str(), text.as_str());
            let upper = ResourceId::parse(&text.to_ascii_uppercase()).unwrap();
            prop_assert_eq!(&upper, &id);
            prop_assert_eq!(upper.key(), id.key());
            prop_assert_eq!(id.name(), pairs.last().unwrap().1.as_str());
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(&serde_json::from_str::<ResourceId>(&json).unwrap(), &id);
            let (last_type, last_name) = pairs.last().unwrap();
            let parent = id.parent().unwrap();
            let again = if pairs.len() == 1 {
                parent.child(&format!("Microsoft.X/{last_type}"), last_name)
            } else {
                parent.child(last_type, last_name)
            };
            prop_assert_eq!(again, id);
        }

        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = ResourceId::parse(&text);
        }
    }
}
