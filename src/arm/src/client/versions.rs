//! Which api-version of a provider is spoken, where a cloud doesn't offer the one that is asked for.
//!
//! Nothing is read before a refusal, so a cloud that offers it costs no request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::error::Sent;
use crate::{ArmError, ErrorKind};

/// api-version of Microsoft.Resources with which providers are read: old enough for every cloud.
pub(super) const PROVIDERS_API_VERSION: &str = "2021-04-01";

/// What is spoken with a provider. Dates as ARM has them: `2025-12-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken<'a> {
    /// The provider, such as `Microsoft.MachineLearningServices`.
    pub provider: &'a str,
    /// The resource types that are used; all of them have to offer the version.
    pub types: &'a [&'a str],
    /// The oldest version that is understood.
    pub oldest: &'a str,
    /// The newest, which is asked for first.
    pub newest: &'a str,
}

/// The versions that were chosen in place of refused ones, by provider. Clones share them: one set for one cloud.
#[derive(Clone, Debug, Default)]
pub struct ApiVersions {
    chosen: Arc<RwLock<HashMap<String, String>>>,
}

impl ApiVersions {
    /// What to speak with a provider in place of `wanted`.
    pub fn get(&self, provider: &str, wanted: &str) -> String {
        let chosen = self.chosen.read().unwrap_or_else(PoisonError::into_inner);
        match chosen.get(&provider.to_ascii_lowercase()) {
            Some(version) if version.as_str() < wanted => version.clone(),
            _ => wanted.to_owned(),
        }
    }

    pub(super) fn set(&self, provider: &str, version: &str) {
        let mut chosen = self.chosen.write().unwrap_or_else(PoisonError::into_inner);
        chosen.insert(provider.to_ascii_lowercase(), version.to_owned());
    }
}

/// The newest stable version that all types offer and that is spoken; `body` is the answer for the provider. Types that
/// it doesn't list have no say.
pub(super) fn choose(body: &Value, spoken: &Spoken<'_>, request: &str) -> Result<String, ArmError> {
    let listed = body.get("resourceTypes").and_then(Value::as_array);
    let offers = |name: &str| {
        let of_type = listed?.iter().find(|of| {
            of.get("resourceType").and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(name))
        })?;
        Some(of_type.get("apiVersions")?.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>())
    };
    let offered: Vec<Vec<&str>> = spoken.types.iter().filter_map(|name| offers(name)).collect();
    let Some((first, others)) = offered.split_first() else {
        let message = format!("the answer lists none of the types {} of {}", spoken.types.join(", "), spoken.provider);
        return Err(ArmError::new(ErrorKind::BadAnswer, "ProviderUnreadable", &message, request, Sent::Answered));
    };
    let is_date = |version: &&&str| version.len() == 10 && version.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let common = first.iter().filter(is_date).filter(|version| others.iter().all(|other| other.contains(version)));
    let newest = common.filter(|version| (spoken.oldest..=spoken.newest).contains(*version)).max();
    newest.map(|version| (*version).to_owned()).ok_or_else(|| {
        let mut all = first.clone();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let message = format!(
            "this cloud offers {} of {}, and none of them is spoken here: {} to {} are",
            all.join(", "),
            spoken.provider,
            spoken.oldest,
            spoken.newest
        );
        ArmError::new(ErrorKind::ApiVersionUnsupported, "NoCommonApiVersion", &message, request, Sent::Answered)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SPOKEN: Spoken<'_> =
        Spoken { provider: "Microsoft.X", types: &["a", "a/b"], oldest: "2021-07-01", newest: "2025-12-01" };

    fn provider(a: &[&str], b: &[&str]) -> Value {
        json!({"resourceTypes": [
            {"resourceType": "other", "apiVersions": ["2020-01-01"]},
            {"resourceType": "A", "apiVersions": a}, {"resourceType": "A/b", "apiVersions": b},
        ]})
    }

    #[test]
    fn chooses_the_newest_stable_version_that_all_types_offer() {
        let rows = [
            (provider(&["2026-03-01", "2024-10-01", "2024-04-01"], &["2024-04-01", "2024-10-01"]), Ok("2024-10-01")),
            (provider(&["2024-04-01", "2024-10-01"], &["2024-04-01"]), Ok("2024-04-01")),
            (provider(&["2025-12-01", "2026-05-01"], &["2026-05-01", "2025-12-01"]), Ok("2025-12-01")),
            (provider(&["2025-07-01-preview", "2021-07-01"], &["2025-07-01-preview", "2021-07-01"]), Ok("2021-07-01")),
            (
                provider(&["2020-06-01", "2026-05-01"], &["2020-06-01", "2026-05-01"]),
                Err(
                    "offers 2026-05-01, 2020-06-01 of Microsoft.X, and none of them is spoken here: 2021-07-01 to 2025-12-01",
                ),
            ),
            (json!({"resourceTypes": [{"resourceType": "a", "apiVersions": ["2022-01-01"]}]}), Ok("2022-01-01")),
            (json!({"resourceTypes": []}), Err("lists none of the types a, a/b of Microsoft.X")),
            (json!(null), Err("lists none of the types")),
        ];
        for (body, expected) in rows {
            let chosen = choose(&body, &SPOKEN, "GET /providers/Microsoft.X");
            match (&chosen, expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version, expected, "{body}"),
                (Err(error), Err(words)) => assert!(error.message.contains(words), "{error}"),
                _ => panic!("{body}: {chosen:?}"),
            }
        }
    }

    #[test]
    fn only_an_older_version_stands_in() {
        let versions = ApiVersions::default();
        assert_eq!(versions.get("Microsoft.X", "2025-12-01"), "2025-12-01");
        versions.clone().set("microsoft.x", "2024-10-01");
        assert_eq!(versions.get("Microsoft.X", "2025-12-01"), "2024-10-01");
        assert_eq!(versions.get("Microsoft.X", "2021-04-01"), "2021-04-01");
        assert_eq!(versions.get("Microsoft.Y", "2025-12-01"), "2025-12-01");
    }
}
