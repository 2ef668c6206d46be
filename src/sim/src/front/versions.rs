//! Which api-versions each namespace serves.

use super::refusal::{Outcome, Refusal};
use crate::world::World;

/// GA versions of Microsoft.MachineLearningServices from 2021-07-01 on.
pub const MACHINE_LEARNING: &[&str] = &[
    "2026-05-01",
    "2026-03-01",
    "2025-12-01",
    "2025-09-01",
    "2025-06-01",
    "2025-04-01",
    "2024-10-01",
    "2024-04-01",
    "2023-10-01",
    "2023-04-01",
    "2022-10-01",
    "2022-05-01",
    "2021-07-01",
];

/// Preview versions in which computes have actions that the GA versions don't have.
pub const COMPUTE_PREVIEWS: &[&str] = &["2026-05-15-preview", "2024-10-01-preview"];

/// GA versions of Microsoft.Resources that clients use.
pub const RESOURCES: &[&str] = &[
    "2025-04-01",
    "2025-03-01",
    "2024-11-01",
    "2024-07-01",
    "2024-03-01",
    "2023-07-01",
    "2022-12-01",
    "2022-09-01",
    "2022-01-01",
    "2021-04-01",
    "2021-01-01",
    "2020-10-01",
    "2020-06-01",
    "2020-01-01",
    "2019-10-01",
];

/// Microsoft.Resources itself: the error names what is supported.
pub fn check_resources(version: &str) -> Outcome<()> {
    if RESOURCES.contains(&version) {
        return Ok(());
    }
    Err(Refusal::arm(
        400,
        "InvalidApiVersionParameter",
        format!("The api-version '{version}' is invalid. The supported versions are '{}'.", RESOURCES.join(",")),
    ))
}

/// What the world offers of a type of the Machine Learning provider: what it says for that type, for `*`, or everything.
pub fn machine_learning<'a>(world: &'a World, resource_type: &str) -> Vec<&'a str> {
    let named = |name: &str| world.api_versions.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    match named(resource_type).or_else(|| named("*")) {
        Some((_, versions)) => versions.iter().map(String::as_str).collect(),
        // The URL of an operation carries the version of the request that began it.
        None if ["workspaces/computes", "locations/computeOperationsStatus"]
            .iter()
            .any(|with| with.eq_ignore_ascii_case(resource_type)) =>
        {
            let mut all: Vec<&str> = MACHINE_LEARNING.iter().chain(COMPUTE_PREVIEWS).copied().collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all
        }
        None => MACHINE_LEARNING.to_vec(),
    }
}

/// A version of the Machine Learning provider, for `resource_type` in `location` (empty when not known).
pub fn check_machine_learning(version: &str, offered: &[&str], resource_type: &str, regions: &str) -> Outcome<()> {
    if offered.contains(&version) {
        return Ok(());
    }
    if !looks_like_version(version) {
        return Err(Refusal::arm(
            400,
            "InvalidApiVersionParameter",
            format!("The api-version '{version}' is invalid. The supported versions are '{}'.", offered.join(",")),
        ));
    }
    Err(unregistered(version, offered, resource_type, "", regions))
}

/// NoRegisteredProviderFound: the version or the location isn't served for that type.
pub fn unregistered(version: &str, offered: &[&str], resource_type: &str, location: &str, regions: &str) -> Refusal {
    Refusal::arm(
        400,
        "NoRegisteredProviderFound",
        format!(
            "No registered resource provider found for location '{location}' and API version '{version}' for type \
             '{resource_type}'. The supported api-versions are '{}'. The supported locations are '{regions}'.",
            offered.join(", ")
        ),
    )
}

fn looks_like_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10
        && date.chars().enumerate().all(|(i, c)| if i == 4 || i == 7 { c == '-' } else { c.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let world = World::default();
        let offered = machine_learning(&world, "workspaces");
        for (version, code) in [
            ("2025-12-01", None),
            ("2021-07-01", None),
            ("2026-05-15-preview", Some("NoRegisteredProviderFound")),
            ("2099-01-01", Some("NoRegisteredProviderFound")),
            ("latest", Some("InvalidApiVersionParameter")),
        ] {
            let got = check_machine_learning(version, &offered, "workspaces", "westeurope").err();
            assert_eq!(got.as_ref().map(|r| r.code.as_str()), code, "{version}");
            if let Some(refusal) = got {
                assert!(refusal.message.contains("2025-12-01"), "names what is supported");
            }
        }
        assert!(machine_learning(&world, "workspaces/computes").contains(&"2024-10-01-preview"));
        let old =
            |names: &[&str]| names.iter().map(|name| (name.to_string(), vec!["2021-07-01".to_string()])).collect();
        let world = World { api_versions: old(&["workspaces/computes"]), ..World::default() };
        assert_eq!(machine_learning(&world, "Workspaces/Computes"), ["2021-07-01"]);
        assert_eq!(machine_learning(&world, "workspaces"), MACHINE_LEARNING);
        let world = World { api_versions: old(&["*"]), ..World::default() };
        assert_eq!(machine_learning(&world, "workspaces"), ["2021-07-01"]);
        assert_eq!(check_resources("2025-12-01").unwrap_err().code, "InvalidApiVersionParameter");
    }
}
