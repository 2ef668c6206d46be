//! What Azure allows as a name.

/// Whether Azure allows a new compute cluster to have this name: 3 to 24 letters, digits and hyphens, first a letter,
/// not ending in a hyphen and digits.
///
/// Source: pattern of `Microsoft.MachineLearningServices/workspaces/computes`, api-version 2025-12-01:
/// `^[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9\-]{2,23}$`. Clusters made by older clients may have up to 32 characters.
pub fn is_cluster_name(name: &str) -> bool {
    let shape = (3..=24).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    shape && (stem.len() == name.len() || !stem.ends_with('-'))
}

/// The rule of [`is_cluster_name`] in words.
pub const CLUSTER_NAME_RULE: &str =
    "3 to 24 letters, digits and hyphens, first a letter, not ending in a hyphen and digits";

/// Whether Azure allows a compute instance to have this name: the same pattern as for new clusters, without older ones
/// that are longer.
///
/// Source: as [`is_cluster_name`], and Azure's own words when it refuses one ("must be between 3 and 24 characters …
/// Numbers cannot be the ending of the name if the previous character is a minus symbol"), recorded.
pub fn is_instance_name(name: &str) -> bool {
    is_cluster_name(name)
}

/// The rule of [`is_instance_name`] in words. That the region is of one mind about it, whatever the workspace and the
/// subscription, can't be told from the name.
pub const INSTANCE_NAME_RULE: &str = "3 to 24 letters, digits and hyphens, first a letter, not ending in a hyphen and \
                                      digits, and no other instance in the region has it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_and_instances() {
        for name in ["abc", "gpu-train", "a1b", "cpu4", "a-b-c", "abcdefghijklmnopqrstuvwx", "gpu-v100x", "abc-"] {
            assert!(is_cluster_name(name) && is_instance_name(name), "{name}");
        }
        for name in ["", "ab", "1abc", "-abc", "a_b", "gpu-4", "a-12345", "abcdefghijklmnopqrstuvwxy", "größe", "a.b"]
        {
            assert!(!is_cluster_name(name) && !is_instance_name(name), "{name}");
        }
    }
}
